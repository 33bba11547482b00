/**
 * What packets take that are not whole yet, of all connections together. Each may be as long as a record, and no client has to come to an end: what they
 * may hold in all is far more than a small machine has. At the limit somebody goes: of whoever holds most, all connections of a user or an address
 * taken together, the one whose packet began first. Who is slow with one packet is not the one, while somebody holds many.
 */
import { MqttProtocolError, Reason } from '../packets/protocol-error.ts'

/** One connection's packet. */
export interface UnfinishedPacket {
  /** Whose it is. */
  readonly owner: string
  /** Its connection ends, and it holds nothing any more. */
  giveUp(error: Error): void
}

export class UnfinishedPackets {
  readonly #bytesMax: number
  /** In the order in which they began. */
  readonly #held = new Map<UnfinishedPacket, number>()
  bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** @param bytes all that it takes now; 0: it is whole, or given up */
  hold(packet: UnfinishedPacket, bytes: number): void {
    this.bytes += bytes - (this.#held.get(packet) ?? 0)
    if (bytes === 0) this.#held.delete(packet)
    else this.#held.set(packet, bytes)
    while (this.bytes > this.#bytesMax) this.#giveUpOne()
  }

  #giveUpOne(): void {
    const byOwner = new Map<string, { bytes: number; readonly first: UnfinishedPacket }>()
    for (const [packet, bytes] of this.#held) {
      const own = byOwner.get(packet.owner)
      if (own === undefined) byOwner.set(packet.owner, { bytes, first: packet })
      else own.bytes += bytes
    }
    const [most] = [...byOwner.values()].sort((a, b) => b.bytes - a.bytes)
    const { first } = most!
    const text = `packets that are not whole hold ${this.bytes} bytes in all, the maximum is ${this.#bytesMax}`
    this.hold(first, 0)
    first.giveUp(new MqttProtocolError(Reason.quotaExceeded, 'section 4.13', text))
  }
}
