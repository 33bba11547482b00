/** Who waits for the acknowledgements of what came to a session while its client was connected, by number in the delivery table. */
import type { Receipt } from '../hub/message.ts'

export class Receipts {
  #receipts: Map<number, Receipt> | null = null

  expect(seq: number, receipt: Receipt): void {
    this.#receipts ??= new Map()
    this.#receipts.set(seq, receipt)
    receipt.expect()
  }

  came(seq: number): void {
    const receipt = this.#receipts?.get(seq)
    if (receipt === undefined) return
    this.#receipts!.delete(seq)
    receipt.came()
  }

  /** Nobody waits for a client that is gone: it gets what it has missed once it is back. */
  end(): void {
    const receipts = this.#receipts
    this.#receipts = null
    for (const receipt of receipts?.values() ?? []) receipt.came()
  }
}
