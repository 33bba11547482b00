/** What a CONNECT asks for is within the limits of all and of its user: asked before it disturbs anybody. */
import type { Connect, Will } from '../packets/packet.ts'
import { MqttProtocolError, Reason } from '../packets/protocol-error.ts'
import type { SessionRules } from './away-review.ts'
import type { ClientSession } from './client-session.ts'
import type { SessionLimits } from './limits.ts'
import type { Wills } from './wills.ts'

/** One user's wills are at most this part of all. */
const WILLS_SHARE = 10

export interface SessionRoomParts {
  readonly limits: SessionLimits
  readonly wills: Wills
  readonly rules: Pick<SessionRules, 'hasUsers'>
}

export class SessionRoom {
  readonly #parts: SessionRoomParts

  constructor(parts: SessionRoomParts) {
    this.#parts = parts
  }

  /**
   * @param before the session of its client id
   * @param now session time
   * @throws MqttProtocolError
   */
  check({ will }: Connect, user: string | null, before: ClientSession | undefined, now: number): void {
    if (will !== null) this.#checkWill(will, user, before, now)
  }

  #checkWill(will: Will, user: string | null, before: ClientSession | undefined, now: number): void {
    const { wills, limits } = this.#parts
    const { all, ofUser } = wills.bytesWith(will, user, before?.number, now)
    const { willsBytesMax } = limits
    if (all > willsBytesMax) refuse(`limits.willsBytesMax of ${willsBytesMax} is reached`)
    const share = Math.floor(willsBytesMax / WILLS_SHARE)
    if (this.#isApart(user) && ofUser > share)
      refuse(`its user’s share of limits.willsBytesMax, ${share}, is reached`)
  }

  /** Clients without a name are one user, unless all are. */
  #isApart(user: string | null): boolean {
    return user !== null || this.#parts.rules.hasUsers
  }
}

function refuse(text: string): never {
  throw new MqttProtocolError(Reason.quotaExceeded, 'MQTT-3.1.4-2', text)
}
