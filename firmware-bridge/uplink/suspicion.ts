/**
 * Finds the message upon which the broker ends a session's connection each time, such as one that it finds malformed. Without this its session
 * would send it again at every connection, for ever, and nothing after it.
 *
 *   strike := a connection that had CONNACK ended while the first message of the store was on its way and had no answer. What was in flight is
 *             sent again one by one (mqtt.js), so that there is no other message that it could have been.
 *
 * A broker that dies, or a network that breaks, looks the same. So from the second strike in a row on a witness is there: another connection to the
 * same broker that sends nothing but PINGREQ. The message is given up only if the witness was connected before the message was sent, and is answered
 * after the session's connection has ended: the broker lived, and its process is the same one.
 */
import type { Attempt } from './attempt.ts'
import { isMessageFault } from './reason-codes.ts'
import type { Witness } from './witness.ts'

/** Connections in a row that ended upon one message. */
export const STRIKES_MAX = 3

export interface Suspected {
  readonly packetId: number
  readonly topic: string
  readonly bytes: number
}

export interface SuspicionHost {
  /** What is sent first on the next connection, if that is a message; the same object as long as it is the same one. */
  firstUnanswered(): Suspected | null
  /** @returns null: there is none to be had now */
  openWitness(): Promise<Witness | null>
  giveUp(suspected: Suspected, connections: number): void
}

export class Suspicion {
  readonly #host: SuspicionHost
  #suspected: Suspected | null = null
  #strikes = 0
  // of the present connection
  #isConnected = false
  #isAnswered = false
  #isBlameless = false

  constructor(host: SuspicionHost) {
    this.#host = host
  }

  onPacket(packet: { cmd: string; messageId?: number; reasonCode?: number; returnCode?: number }): void {
    const { cmd, messageId, returnCode = 0, reasonCode = returnCode } = packet
    if (cmd === 'connack') this.#isConnected = reasonCode === 0
    else if (cmd === 'pubrec' || cmd === 'puback') {
      this.#isAnswered ||= messageId === this.#suspected?.packetId
    } else if (cmd === 'disconnect' && !isMessageFault(reasonCode)) this.#isBlameless = true
  }

  /** One attempt to connect again, with a witness where one is needed. */
  async watch(attempt: () => Promise<Attempt>): Promise<Attempt> {
    const suspected = this.#host.firstUnanswered()
    if (suspected === null) return attempt()
    if (suspected !== this.#suspected) this.#strikes = 0
    this.#suspected = suspected
    this.#isConnected = false
    this.#isAnswered = false
    this.#isBlameless = false
    const witness = this.#strikes + 1 < STRIKES_MAX ? null : await this.#host.openWitness()
    try {
      const made = await attempt()
      await this.#judge(made, suspected, witness)
      return made
    } finally {
      witness?.close()
    }
  }

  async #judge(made: Attempt, suspected: Suspected, witness: Witness | null): Promise<void> {
    const isStrike =
      made.error !== null &&
      made.outcome === 'reached' &&
      this.#isConnected &&
      !this.#isAnswered &&
      !this.#isBlameless
    this.#strikes = isStrike ? this.#strikes + 1 : 0
    if (this.#strikes < STRIKES_MAX) return
    const strikes = this.#strikes
    // it begins anew, too, when the broker died with the connection, or nobody can say
    this.#strikes = 0
    if (witness === null || !(await witness.isAlive())) return
    // gone with its session meanwhile
    if (this.#host.firstUnanswered() === suspected) this.#host.giveUp(suspected, strikes)
  }
}
