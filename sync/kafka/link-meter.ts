/**
 * Counts what went over the connections of one wire, both ways: all requests and answers, those that failed and connections that
 * never stood included.
 */
import type { Socket } from 'node:net'

export class LinkMeter {
  readonly #open = new Set<Socket>()
  #closedBytes = 0
  #takenBytes = 0

  add(socket: Socket): void {
    this.#open.add(socket)
  }

  /** What went since it was asked the last time. */
  taken(): number {
    const { bytes } = this
    const taken = bytes - this.#takenBytes
    this.#takenBytes = bytes
    return taken
  }

  get bytes(): number {
    let bytes = this.#closedBytes
    for (const socket of this.#open) {
      const carried = socket.bytesWritten + socket.bytesRead
      bytes += carried
      if (!socket.destroyed) continue
      this.#closedBytes += carried
      this.#open.delete(socket)
    }
    return bytes
  }
}
