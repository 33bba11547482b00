/** Counts what went over the connections of one wire, both ways: all requests and answers, tries that failed included. */
import type { Frames } from './frames.ts'

export class LinkMeter {
  readonly #open = new Set<Frames>()
  #closedBytes = 0

  /** A connection is in use; again and again is fine. */
  add(frames: Frames): void {
    this.#open.add(frames)
  }

  get bytes(): number {
    let bytes = this.#closedBytes
    for (const frames of this.#open) {
      bytes += frames.socketBytes
      if (!frames.isClosed) continue
      this.#closedBytes += frames.socketBytes
      this.#open.delete(frames)
    }
    return bytes
  }
}
