/** Bytes on their way to a port: gathered in one buffer while the other is being written, so that what waits is bounded and goes in one write. */
export class SendBuffer {
  #filling: Uint8Array
  #writing: Uint8Array
  #length = 0

  constructor(bytesMax: number) {
    this.#filling = new Uint8Array(bytesMax)
    this.#writing = new Uint8Array(bytesMax)
  }

  /** @returns false when there is no room for all of it: nothing of it is taken */
  add(bytes: Uint8Array): boolean {
    if (this.#length + bytes.length > this.#filling.length) return false
    this.#filling.set(bytes, this.#length)
    this.#length += bytes.length
    return true
  }

  /** What is to be written now, valid until the next call; null when there is nothing. */
  take(): Uint8Array | null {
    if (this.#length === 0) return null
    const batch = this.#filling.subarray(0, this.#length)
    const emptied = this.#writing
    this.#writing = this.#filling
    this.#filling = emptied
    this.#length = 0
    return batch
  }

  clear(): void {
    this.#length = 0
  }
}
