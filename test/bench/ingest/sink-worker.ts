/**
 * A server that acknowledges and does nothing else: it knows every packet's size and the order of the ids, so it counts
 * bytes and sends PUBACKs from a ring. What the generator reaches against it is the generator's own limit.
 */
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { CONNACK_ACCEPTED, PubackRing } from './packets.ts'

export interface SinkJob {
  readonly packetBytes: number
  readonly ringPackets: number
}

process.once('message', ({ packetBytes, ringPackets }: SinkJob) => {
  const server = createServer({ noDelay: true }, (socket) => serve(socket, packetBytes, ringPackets))
  server.listen(0, '127.0.0.1', () => {
    process.send?.({ answer: (server.address() as AddressInfo).port })
  })
})
process.once('disconnect', () => process.exit())

function serve(socket: Socket, packetBytes: number, ringPackets: number): void {
  const pubacks = new PubackRing(ringPackets)
  let isConnected = false
  let pending = 0
  let next = 0
  socket.on('error', () => socket.destroy())
  socket.on('data', (bytes) => {
    // the generator waits for CONNACK, so CONNECT comes alone
    if (!isConnected) {
      isConnected = true
      socket.write(CONNACK_ACCEPTED)
      return
    }
    pending += bytes.length
    const packets = Math.floor(pending / packetBytes)
    pending -= packets * packetBytes
    if (packets === 0) return
    for (const slice of pubacks.slices(next, packets)) socket.write(slice)
    next = (next + packets) % ringPackets
  })
}
