/**
 * The last messages of one device that the broker has, by message id: a repetition of one of them is acknowledged and not sent again. A
 * ring of slots; a slot is used anew once its message is completed, the oldest first. Pure: whoever uses it writes what it returns.
 */
import { hash } from 'node:crypto'
import { assert } from '../../broker/assert.ts'
import { ReservedIds } from './reserved-ids.ts'
import type { WindowChange } from './window-db.ts'
import {
  DIGEST_BYTES,
  EntryState,
  encodeEntry,
  encodeReserved,
  entryKey,
  type IdRange,
  reservedKey,
  type StoredEntry,
} from './window-format.ts'

/** Slots a client when nothing else is configured; a slot's number is one byte on disk. */
export const WINDOW_MESSAGES_MAX = 255

export interface WindowEntry {
  readonly slot: number
  readonly sequence: number
  readonly messageId: number
  readonly packetId: number
  readonly digest: string
  state: EntryState
  /** PUBCOMP has come, or is not owed: its slot may be used anew. */
  isCompleted: boolean
  /** What was written last of it; it counts once this has resolved. */
  written: Promise<void>
}

/** What an entry is of. */
type Placed = Pick<WindowEntry, 'messageId' | 'packetId' | 'digest' | 'state'>

const WRITTEN = Promise.resolve()

export class ClientWindow {
  readonly clientId: string
  readonly epoch: number
  readonly reserved: ReservedIds
  readonly #slots: (WindowEntry | undefined)[]
  #nextSequence = 0

  constructor(clientId: string, epoch: number, slots: number, reserved: IdRange | null = null) {
    assert(slots > 0 && slots <= WINDOW_MESSAGES_MAX, 'a window has 1 to 255 slots')
    this.clientId = clientId
    this.epoch = epoch
    this.reserved = new ReservedIds(reserved)
    this.#slots = new Array(slots)
  }

  /** From disk. Entries of another epoch, or of slots that there are no more, are nothing. */
  restore(stored: readonly { slot: number; entry: StoredEntry }[]): void {
    const own = stored.filter(({ slot, entry }) => slot < this.#slots.length && entry.epoch === this.epoch)
    const completedBelow = Math.max(0, ...own.map(({ entry }) => entry.completedBelow))
    for (const { slot, entry } of own) {
      const { state, sequence } = entry
      const restored = entryOf(slot, sequence, entry)
      restored.isCompleted = state === EntryState.received && sequence < completedBelow
      this.#slots[slot] = restored
      this.#nextSequence = Math.max(this.#nextSequence, sequence + 1, completedBelow)
    }
  }

  find(messageId: number): WindowEntry | undefined {
    let found: WindowEntry | undefined
    for (const entry of this.#slots) {
      if (entry?.messageId !== messageId) continue
      if (found === undefined || entry.sequence > found.sequence) found = entry
    }
    return found
  }

  entries(): WindowEntry[] {
    return this.#slots.filter((entry) => entry !== undefined)
  }

  get uncompleted(): number {
    let count = 0
    for (const entry of this.#slots) if (entry !== undefined && !entry.isCompleted) count++
    return count
  }

  /**
   * Takes a slot: that of the same message id, else a free one, else the oldest that is completed.
   * @returns null when every slot waits for the broker
   */
  place(message: Placed): WindowEntry | null {
    const slot = this.#slotFor(message.messageId)
    if (slot === null) return null
    const entry = entryOf(slot, this.#nextSequence++, message)
    this.#slots[slot] = entry
    return entry
  }

  #slotFor(messageId: number): number | null {
    let oldest: WindowEntry | undefined
    for (let slot = 0; slot < this.#slots.length; slot++) {
      const entry = this.#slots[slot]
      if (entry === undefined) return slot
      if (entry.messageId === messageId && entry.isCompleted) return slot
      if (entry.isCompleted && (oldest === undefined || entry.sequence < oldest.sequence)) oldest = entry
    }
    return oldest?.slot ?? null
  }

  change(entry: WindowEntry): WindowChange {
    const { state, sequence, messageId, packetId, digest, slot } = entry
    const { epoch, completedBelow } = this
    const value = encodeEntry({ state, epoch, sequence, completedBelow, messageId, packetId, digest })
    return [entryKey(this.clientId, slot), value]
  }

  /** The message's id may be another message's from now on, marked as a repetition or not. */
  remove(entry: WindowEntry): WindowChange {
    this.#slots[entry.slot] = undefined
    return [entryKey(this.clientId, entry.slot), null]
  }

  /** @param range null: the broker holds nothing that is not in the window */
  reservation(range: IdRange | null): WindowChange {
    return [reservedKey(this.clientId), range === null ? null : encodeReserved(this.epoch, range)]
  }

  get completedBelow(): number {
    let lowest = this.#nextSequence
    for (const entry of this.#slots) {
      if (entry !== undefined && !entry.isCompleted) lowest = Math.min(lowest, entry.sequence)
    }
    return lowest
  }
}

/** Named one by one: what is spread becomes a table of names, ten times as large. */
function entryOf(
  slot: number,
  sequence: number,
  { messageId, packetId, digest, state }: Placed,
): WindowEntry {
  return { slot, sequence, messageId, packetId, digest, state, isCompleted: false, written: WRITTEN }
}

/** Two messages of one device under one message id are told apart by these 64 bits. */
export function digestOf(topic: string, payload: Uint8Array): string {
  const name = Buffer.from(topic)
  const head = Buffer.alloc(2)
  head.writeUInt16BE(name.length & 0xffff)
  return hash('sha256', Buffer.concat([head, name, payload]), 'hex').slice(0, 2 * DIGEST_BYTES)
}
