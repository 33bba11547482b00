/**
 * The packet ids in use on a session. mqtt.js asks for one for SUBSCRIBE and UNSUBSCRIBE and gets a free one from the top, where devices,
 * which count up from 1, come last.
 */
import type { IMessageIdProvider } from 'mqtt/lib/default-message-id-provider'
import { FewEntries } from '../few-entries.ts'

const ID_MAX = 0xffff

export class PacketIds implements IMessageIdProvider {
  readonly #used = new FewEntries<number, true>()
  /** Stand for a message that the broker may have, in no exchange now (aggregated mode). */
  readonly #reserved = new Set<number>()
  #last = 0

  isUsed(id: number): boolean {
    return this.#used.has(id)
  }

  use(id: number): void {
    this.#used.set(id, true)
  }

  reserve(id: number): void {
    this.#reserved.add(id)
  }

  unreserve(id: number): void {
    this.#reserved.delete(id)
  }

  /** From the bottom, one after another. @returns null: all are taken */
  free(): number | null {
    for (let tries = 0; tries < ID_MAX; tries++) {
      this.#last = (this.#last % ID_MAX) + 1
      if (!this.#used.has(this.#last) && !this.#reserved.has(this.#last)) return this.#last
    }
    return null
  }

  allocate(): number | null {
    const id = this.#fromTop()
    if (id !== null) this.use(id)
    return id
  }

  #fromTop(): number | null {
    for (let id = ID_MAX; id > 0; id--) {
      if (!this.#used.has(id) && !this.#reserved.has(id)) return id
    }
    return null
  }

  getLastAllocated(): number | null {
    return null
  }

  /** A packet that is sent again after a reconnect. */
  register(id: number): boolean {
    this.use(id)
    return true
  }

  deallocate(id: number): void {
    this.#used.delete(id)
  }

  clear(): void {
    this.#used.clear()
  }
}
