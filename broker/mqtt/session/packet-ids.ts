/** Packet ids of a session's deliveries, each with its number in the delivery table (or `OF_REPLAY`). None is given out while it is in use [MQTT-2.2.1-3]. */

const PACKET_ID_MAX = 65_535
/**
 * More than are given out between two checkpoints. No half or third of all ids: a client that was away for some restarts does not meet those
 * that it knows.
 */
const RESUME_DISTANCE = 20_011

/** In the place of a number in the delivery table. */
export const OF_REPLAY = -1

export class PacketIds {
  #seqs: Map<number, number> | null = null
  #last = 0

  /** One that is not in use; fewer than 65,535 are. It is in use once it is `set`. */
  next(): number {
    do this.#last = this.#last >= PACKET_ID_MAX ? 1 : this.#last + 1
    while (this.#seqs?.has(this.#last) === true)
    return this.#last
  }

  seqOf(packetId: number): number | undefined {
    return this.#seqs?.get(packetId)
  }

  set(packetId: number, seq: number): void {
    this.#seqs ??= new Map()
    this.#seqs.set(packetId, seq)
  }

  /** The one that was given out last. */
  get last(): number {
    return this.#last
  }

  /**
   * After a restart: those that were given out after the checkpoint are not known, and the client may still send answers to them. The next
   * ones are far from them.
   * @param last as in the checkpoint
   */
  resume(last: number): void {
    this.#last = (last + RESUME_DISTANCE) % PACKET_ID_MAX
  }

  delete(packetId: number): void {
    this.#seqs?.delete(packetId)
  }

  /** In the delivery table. */
  seqs(): Iterable<number> {
    return [...(this.#seqs?.values() ?? [])].filter((seq) => seq !== OF_REPLAY)
  }

  /** Lets go of memory. */
  rest(): void {
    if (this.#seqs?.size === 0) this.#seqs = null
  }
}
