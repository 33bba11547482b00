/**
 * Facts about a session's deliveries of QoS 2: their packet ids before PUBLISH, that PUBREC came before PUBREL. Nothing is sent that a fact
 * says until the fact is on disk, on this connection or a later one.
 */
import { type DeliveryTable, INLINE } from './delivery-table.ts'
import { encodeQos2, qos2Key } from './state-format.ts'
import type { StateStore } from './state-store.ts'

export class Qos2Facts {
  readonly #session: number
  readonly #table: DeliveryTable
  readonly #store: StateStore
  /** Put, and not known to be on disk. */
  #unsafe: Set<number> | null = null

  constructor(session: number, table: DeliveryTable, store: StateStore) {
    this.#session = session
    this.#table = table
    this.#store = store
  }

  /** What the table says of it now is a fact once `settled` resolves. */
  put(seq: number): void {
    const table = this.#table
    table.setFact(seq)
    this.#unsafe ??= new Set()
    this.#unsafe.add(seq)
    this.#store.put(
      this.keyOf(seq),
      encodeQos2({
        seq,
        packetId: table.packetIdOf(seq),
        isRetained: table.isRetained(seq),
        isReleased: table.isReleased(seq),
        identifiers: table.identifiersOf(seq),
      }),
    )
  }

  isSafe(seq: number): boolean {
    return this.#table.isFact(seq) && this.#unsafe?.has(seq) !== true
  }

  /** Resolves once it is on disk; with the message itself, where no stream holds that: it goes with the queues. @throws SessionStateError */
  async settled(seq: number): Promise<void> {
    await this.#store.flush(this.#table.partitionOf(seq) === INLINE)
    this.#unsafe?.delete(seq)
  }

  forget(seq: number): void {
    this.#unsafe?.delete(seq)
  }

  keyOf(seq: number): Buffer {
    return qos2Key(this.#session, this.#table.partitionOf(seq), this.#table.offsetOf(seq))
  }

  /** Lets go of memory. */
  rest(): void {
    if (this.#unsafe?.size === 0) this.#unsafe = null
  }
}
