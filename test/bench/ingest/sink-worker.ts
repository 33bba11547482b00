/**
 * A server that acknowledges and does nothing else: it knows every entry's size and the order of the ids, so it counts
 * bytes and sends PUBACKs from a ring. What the generator reaches against it is the generator's own limit.
 */
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { connackAccepted, PubackRing } from './packets.ts'

export interface SinkJob {
  readonly version: 4 | 5
  /** An entry: all that one PUBACK is for. */
  readonly entryBytes: number
  readonly ringEntries: number
}

process.once('message', (job: SinkJob) => {
  const server = createServer({ noDelay: true }, (socket) => serve(socket, job))
  server.listen(0, '127.0.0.1', () => {
    process.send?.({ answer: (server.address() as AddressInfo).port })
  })
})
process.once('disconnect', () => process.exit())

function serve(socket: Socket, { version, entryBytes, ringEntries }: SinkJob): void {
  const pubacks = new PubackRing(ringEntries)
  let isConnected = false
  let pending = 0
  let next = 0
  socket.on('error', () => socket.destroy())
  socket.on('data', (bytes) => {
    // the generator waits for CONNACK, so CONNECT comes alone
    if (!isConnected) {
      isConnected = true
      socket.write(connackAccepted(version))
      return
    }
    pending += bytes.length
    const entries = Math.floor(pending / entryBytes)
    pending -= entries * entryBytes
    if (entries === 0) return
    for (const slice of pubacks.slices(next, entries)) socket.write(slice)
    next = (next + entries) % ringEntries
  })
}
