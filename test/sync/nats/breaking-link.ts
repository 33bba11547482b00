/**
 * A link between an edge and a server that fails inside a message:
 *
 *   stall   what follows goes nowhere, in both directions, and nobody is told
 *   break   the edge sees an end, the server gets the beginning
 *   late    the edge sees an end, the server gets what was on its way when the test says so
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export type LinkFault = 'stall' | 'break' | 'late'

/** Hands bytes on in both directions until a number of them has passed towards the server. */
export class BreakingLink {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #target: number
  #left = Number.POSITIVE_INFINITY
  #way: LinkFault = 'stall'
  readonly #late: { upstream: Socket; chunk: Buffer }[] = []
  faults = 0
  /** Connections of the edge that are open. */
  open = 0

  constructor(target: string) {
    this.#target = Number(target.split(':')[1])
    this.#server = createServer((edge) => this.#carry(edge))
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** One fault, after so many bytes; later connections are whole. */
  arm(bytes: number, way: LinkFault): void {
    this.#left = bytes
    this.#way = way
  }

  /** What was late arrives. */
  release(): void {
    for (const { upstream, chunk } of this.#late.splice(0)) upstream.end(chunk)
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #carry(edge: Socket): void {
    const upstream = connect(this.#target, '127.0.0.1')
    let isStalled = false
    this.open++
    for (const socket of [edge, upstream]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
    }
    edge.on('close', () => {
      this.open--
      if (!this.#late.some((late) => late.upstream === upstream)) upstream.destroy()
    })
    upstream.on('close', () => {
      if (!isStalled) edge.destroy()
    })
    upstream.on('data', (chunk) => {
      if (!isStalled) edge.write(chunk)
    })
    edge.on('data', (chunk) => {
      if (isStalled) return
      this.#left -= chunk.length
      if (this.#left > 0) {
        upstream.write(chunk)
        return
      }
      if (this.#way === 'late') this.#late.push({ upstream, chunk })
      // The first part of it is on its way; the rest and every answer are lost.
      else upstream.write(chunk.subarray(0, chunk.length + this.#left))
      this.#left = Number.POSITIVE_INFINITY
      this.faults++
      isStalled = true
      if (this.#way !== 'stall') edge.destroy()
    })
  }
}
