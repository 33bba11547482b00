/**
 * What members of shared subscriptions had still to deliver when their sessions ended, on its way to others of their groups (MQTT 5, section 4.8.2). It is read back
 * from the log, one batch at a time, whatever number of sessions ends at once.
 */
import type { Group } from '../hub/message.ts'
import type { QoS } from '../packets/packet.ts'
import type { Drops } from './drops.ts'
import type { MessageLoader, Reference } from './message-loader.ts'

/** Messages that wait here, of all groups: what is beyond is dropped, and counted like what a full queue drops. */
const RETURNED_MAX = 20_000
/** Read at a time. */
const BATCH_MESSAGES = 64
const BATCH_BYTES = 64 * 1024

export interface Shared extends Reference {
  readonly group: Group
  /** With which it was to go to the member that had it. */
  readonly qos: QoS
}

export class SharedReturns {
  readonly #loader: Pick<MessageLoader, 'load'>
  readonly #drops: Drops
  #waiting: Shared[] = []
  #isGiving = false
  #isClosed = false

  constructor(loader: Pick<MessageLoader, 'load'>, drops: Drops) {
    this.#loader = loader
    this.#drops = drops
  }

  /** What of it there is room for. */
  taken(shared: Iterable<Shared>): Shared[] {
    const taken: Shared[] = []
    for (const one of shared) {
      if (this.#waiting.length + taken.length < RETURNED_MAX) taken.push(one)
      else this.#drops.count('queueFull')
    }
    return taken
  }

  /** To others, once the session is no member any more. */
  give(shared: readonly Shared[]): void {
    if (shared.length === 0) return
    this.#waiting = this.#waiting.concat(shared)
    this.look()
  }

  /** Each second as well: where the log could not be read it is tried again. */
  look(): void {
    if (this.#waiting.length > 0 && !this.#isGiving) void this.#giveAll()
  }

  close(): void {
    this.#isClosed = true
    this.#waiting = []
  }

  async #giveAll(): Promise<void> {
    this.#isGiving = true
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.slice(0, BATCH_MESSAGES)
        const loaded = await this.#loader.load(batch, BATCH_BYTES)
        if (this.#isClosed) return
        this.#waiting = this.#waiting.slice(loaded.length)
        for (const [i, message] of loaded.entries()) {
          const { group, qos } = batch[i]!
          if (message === 'gone') this.#drops.count('gone')
          else group.give({ ...message, qos })
        }
      }
    } catch {
      // it is tried again
    } finally {
      this.#isGiving = false
    }
  }
}
