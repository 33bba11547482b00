/** Messages of a session that are to be sent next and are not in memory: read back into it, some at a time. */
import type { DeliveryTable } from './delivery-table.ts'
import type { HeldMessages } from './held-messages.ts'
import type { MessageLoader } from './message-loader.ts'

/** At once. */
const MESSAGES_MAX = 64
const BYTES_MAX = 64 * 1024

export class ReadBack {
  readonly #table: DeliveryTable
  readonly #held: HeldMessages
  readonly #loader: MessageLoader
  isUnderWay = false

  constructor(table: DeliveryTable, held: HeldMessages, loader: MessageLoader) {
    this.#table = table
    this.#held = held
    this.#loader = loader
  }

  /**
   * @param from the first number that is not in memory
   * @param isWanted asked once they are there
   * @returns numbers whose messages are gone
   * @throws LogUnavailableError, or where the disk is at fault
   */
  async read(from: number, isWanted: () => boolean): Promise<number[]> {
    const table = this.#table
    const seqs = this.#missing(from)
    const references = seqs.map((seq) => ({ partition: table.partitionOf(seq), offset: table.offsetOf(seq) }))
    const gone: number[] = []
    this.isUnderWay = true
    try {
      const loaded = await this.#loader.load(references, this.#held.isFull ? 1 : BYTES_MAX)
      if (!isWanted()) return gone
      for (const [i, message] of loaded.entries()) {
        const seq = seqs[i]!
        if (!table.isLive(seq) || table.isSent(seq) || this.#held.has(seq)) continue
        if (message === 'gone') gone.push(seq)
        else this.#held.keep(seq, message)
      }
      return gone
    } finally {
      this.isUnderWay = false
    }
  }

  #missing(from: number): number[] {
    const table = this.#table
    const seqs: number[] = []
    for (let seq = from; seq < table.tail && seqs.length < MESSAGES_MAX; seq++) {
      if (!table.isLive(seq) || table.isSent(seq) || table.isReleased(seq)) continue
      if (!this.#held.has(seq)) seqs.push(seq)
    }
    return seqs
  }
}
