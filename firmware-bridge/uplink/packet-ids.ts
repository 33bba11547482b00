/**
 * mqtt.js asks its provider for an id each time it sends; `next` is what it gets for the PUBLISH that is sent in the same call. Without
 * one (SUBSCRIBE, UNSUBSCRIBE) it gets a free id from the top, where devices, which count up from 1, come last.
 */
import type { IMessageIdProvider } from 'mqtt/lib/default-message-id-provider'

const ID_MAX = 0xffff

export class PacketIds implements IMessageIdProvider {
  readonly #used = new Set<number>()
  /** Stand for a message that the broker may have, in no exchange now (aggregated mode). */
  readonly #reserved = new Set<number>()
  #next: number | null = null
  #last = 0

  /** For the one call of allocate() that follows. */
  set next(id: number) {
    this.#next = id
  }

  isUsed(id: number): boolean {
    return this.#used.has(id)
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
    const id = this.#next ?? this.#fromTop()
    this.#next = null
    if (id !== null) this.#used.add(id)
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
    this.#used.add(id)
    return true
  }

  deallocate(id: number): void {
    this.#used.delete(id)
  }

  clear(): void {
    this.#used.clear()
  }
}
