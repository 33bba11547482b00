/**
 * PUBRELs outside of an exchange: the broker may hold a packet id of an earlier process, and is to let it go before another message has it.
 * To the broker that never saw it, PUBREL is nothing (MQTT 5.0 section 3.7.2.1: Packet Identifier not found).
 */
import { encodePubrel } from './packet-writer.ts'

export class Releases {
  readonly #waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>()
  readonly #write: (bytes: Buffer) => boolean
  readonly #unreachable: () => Error

  /** @param write to the present connection. @returns false when there is none */
  constructor(write: (bytes: Buffer) => boolean, unreachable: () => Error) {
    this.#write = write
    this.#unreachable = unreachable
  }

  /** Resolves with PUBCOMP. @throws BrokerUnreachableError, SessionEndedError */
  letGo(packetId: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.has(packetId) || !this.#write(encodePubrel(packetId))) reject(this.#unreachable())
      else this.#waiting.set(packetId, { resolve, reject })
    })
  }

  /** PUBCOMP is on its way: it would be taken for the answer to what goes under this id meanwhile. */
  isLettingGo(packetId: number): boolean {
    return this.#waiting.has(packetId)
  }

  onPubcomp(packetId: number): void {
    this.#waiting.get(packetId)?.resolve()
    this.#waiting.delete(packetId)
  }

  onDown(): void {
    for (const { reject } of this.#waiting.values()) reject(this.#unreachable())
    this.#waiting.clear()
  }
}
