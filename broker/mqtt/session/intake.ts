/** How a message comes into a session's delivery table: as a place in the log, or as one that is held here. */
import type { Group, Message } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'
import { type DeliveryTable, INLINE } from './delivery-table.ts'
import type { FlowOwner } from './flow-owner.ts'
import type { SessionContext } from './session-context.ts'

/** In the place of the number of a message that no stream holds: it is sent, and not again. */
const NOT_HELD = 0

export class Intake {
  readonly #owner: FlowOwner
  readonly #table: DeliveryTable
  readonly #context: SessionContext

  constructor(owner: FlowOwner, table: DeliveryTable, context: SessionContext) {
    this.#owner = owner
    this.#table = table
    this.#context = context
  }

  /** @returns its number in the table; -1 where there is no room */
  add(
    message: Message,
    qos: QoS,
    isRetained: boolean,
    identifiers: readonly number[],
    group?: Group,
  ): number {
    const { inline, drops } = this.#context
    const { place } = message
    if (place !== null)
      return this.#addAt(place.partition.id, place.offset, qos, isRetained, identifiers, group)
    const number = inline.hold(message, this.#table.isStored, this.#owner)
    if (number !== null) return this.#addAt(INLINE, number, qos, isRetained, identifiers)
    drops.count('inlineFull')
    return -1
  }

  /** One that is to be sent now: it is held once it cannot be (`hold`), and not sent again. */
  addUnheld(qos: QoS, isRetained: boolean, identifiers: readonly number[]): number {
    return this.#addAt(INLINE, NOT_HELD, qos, isRetained, identifiers)
  }

  /** @returns false, and counted, where there is no room */
  hold(seq: number, message: Message): boolean {
    const { inline, drops } = this.#context
    const number = inline.hold(message, false, this.#owner)
    if (number !== null) this.#table.setOffset(seq, number)
    else drops.count('inlineFull')
    return number !== null
  }

  #addAt(
    partition: number,
    offset: number,
    qos: QoS,
    isRetained: boolean,
    identifiers: readonly number[],
    group?: Group,
  ): number {
    const seq = this.#table.append({ partition, offset, qos, isRetained, identifiers, group })
    this.#owner.changed()
    return seq
  }

  /**
   * A retained message outlives its record: what has to be sent again is not read from the log. Of QoS 2 each delivery has a copy of its own,
   * because a fact has its message's place for a name. Where there is no room for one the record has to do.
   */
  addRetained(message: Message, qos: QoS, identifiers: readonly number[]): number {
    if (!this.#table.isStored) return this.addUnheld(qos, true, identifiers)
    if (message.place !== null) {
      const number = this.#context.inline.holdCopy(message, qos === 1, this.#owner)
      if (number !== null) return this.#addAt(INLINE, number, qos, true, identifiers)
    }
    return this.add(message, qos, true, identifiers)
  }
}
