/** A message between PUBLISH and PUBREC, and who waits for the answer. */
import { finalFault, GIVEN_UP } from './reason-codes.ts'
import type { PublishResult } from './uplink.ts'

export const ACCEPTED: PublishResult = { kind: 'accepted' }
export const REPEATED: PublishResult = { kind: 'repeated' }
export const CONGESTED: PublishResult = { kind: 'congested' }

/** Messages of one device that were given up, and are known when it repeats them. */
const GIVEN_UP_MAX = 16
/** Repetitions of one message that wait for the one answer. */
const WAITERS_MAX = 8

export interface Flight {
  readonly messageId: number
  readonly digest: string
  waiters: ((result: PublishResult) => void)[]
}

/** Counted since the start; never reset. */
export interface UplinkCounters {
  accepted: number
  repeated: number
  congested: number
  refused: number
  /** Of those that were refused: the broker ended the connection upon them each time. */
  givenUp: number
  /** QoS 0 and -1: handed over, and dropped because there was no connection. */
  handedOver: number
  dropped: number
}

/** An id is one message's until it is answered. */
export function waitFor(flight: Flight, digest: string): Promise<PublishResult> | PublishResult {
  if (flight.digest !== digest || flight.waiters.length >= WAITERS_MAX) return CONGESTED
  return new Promise((resolve) => {
    // an array that grows begins with room for 17
    if (flight.waiters.length === 0) flight.waiters = [resolve]
    else flight.waiters.push(resolve)
  })
}

export function answer(flight: Flight, result: PublishResult): void {
  const { waiters } = flight
  flight.waiters = []
  for (const tell of waiters) tell(result)
}

/** What a reason code of 0x80 or above is to the device. */
export function refusal(reasonCode: number): PublishResult {
  const reason = finalFault(reasonCode)
  return reason === null ? CONGESTED : { kind: 'refused', reason }
}

/** The device repeats what it has not heard of: what was given up stays so. In memory, of the last ones. */
export class GivenUp {
  readonly #digests = new Map<number, string>()

  add({ messageId, digest }: Pick<Flight, 'messageId' | 'digest'>, reasonCode: number): void {
    if (reasonCode !== GIVEN_UP) return
    this.#digests.delete(messageId)
    this.#digests.set(messageId, digest)
    const oldest = this.#digests.keys().next().value
    if (this.#digests.size > GIVEN_UP_MAX && oldest !== undefined) this.#digests.delete(oldest)
  }

  has(messageId: number, digest: string): boolean {
    return this.#digests.get(messageId) === digest
  }
}
