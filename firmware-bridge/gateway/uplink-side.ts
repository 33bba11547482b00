/**
 * A device's session with the broker: made, kept over a device's reconnects, ended. What is asked is done one after the other, so that
 * the end of one session comes before the beginning of the next.
 */
import type { DeviceSession, DownMessage, Will } from '../uplink/uplink.ts'
import type { GatewayContext } from './context.ts'

export interface UplinkOwner {
  readonly clientId: string
  readonly context: GatewayContext
  onMessage(message: DownMessage): Promise<void>
  /** The session is over, by the device's doing or by the broker's: what was to be delivered is the broker's again. */
  onSessionOver(reason: string): void
  /** By the broker's. */
  onEndedByBroker(reason: string): void
}

export interface Attach {
  readonly isClean: boolean
  readonly keepAliveSeconds: number
  /** undefined: as it was. */
  readonly will: Will | null | undefined
}

/** `busy`: another change is under way; the device is to ask later. */
export type WillChange = 'changed' | 'busy' | 'impossible'

export class UplinkSide {
  readonly #owner: UplinkOwner
  session: DeviceSession | null = null
  /** MQTT-SN keeps it over connections, as subscriptions are (section 6.3). */
  will: Will | null = null
  /** Whose messages are listened to. */
  #token: object | null = null
  #last: Promise<void> = Promise.resolve()
  #isChangingWill = false

  constructor(owner: UplinkOwner) {
    this.#owner = owner
  }

  /** @throws BridgeError of the uplink */
  attach(attach: Attach): Promise<void> {
    return this.#inTurn(() => this.#attach(attach))
  }

  /** Never throws: what the broker was not told it finds out. */
  end(how: 'clean' | 'lost'): Promise<void> {
    return this.#inTurn(() => this.#end(how))
  }

  /**
   * One at a time: with a session of its own each is a connection of its own to the broker.
   * @param change of the will that there is when its turn has come; undefined: it cannot be
   * @throws BridgeError of the uplink
   */
  async setWill(change: (before: Will | null) => Will | null | undefined): Promise<WillChange> {
    if (this.#isChangingWill) return 'busy'
    this.#isChangingWill = true
    let will: Will | null | undefined
    try {
      await this.#inTurn(async () => {
        will = change(this.will)
        if (will === undefined) return
        await this.session?.setWill(will)
        this.will = will
      })
    } finally {
      this.#isChangingWill = false
    }
    return will === undefined ? 'impossible' : 'changed'
  }

  async #attach({ isClean, keepAliveSeconds, will }: Attach): Promise<void> {
    const { context, clientId } = this.#owner
    // Section 6.3: what a clean one began stays until the next clean one.
    if (this.session !== null && isClean) await this.#end('clean')
    if (isClean) this.will = null
    if (this.session !== null) {
      if (will !== undefined) await this.session.setWill(will)
      this.will = will === undefined ? this.will : will
      return
    }
    if (will !== undefined) this.will = will
    const token = {}
    this.#token = token
    const listener = {
      onMessage: (message: DownMessage) =>
        token === this.#token ? this.#owner.onMessage(message) : Promise.reject(new Error('session is over')),
      onEnded: (reason: string) => {
        if (token === this.#token) this.#onEnded(reason)
      },
    }
    try {
      const connect = { clientId, isClean, keepAliveSeconds, will: this.will, listener }
      const session = await context.uplink.connect(connect)
      // Ended by the broker before it began.
      if (token !== this.#token) return
      this.session = session
    } catch (error) {
      this.#over('no session')
      throw error
    }
  }

  async #end(how: 'clean' | 'lost'): Promise<void> {
    const { session } = this
    if (session === null) return
    this.session = null
    try {
      await session.end(how)
    } catch (error) {
      const { context, clientId } = this.#owner
      context.log.warn('end', `the MQTT session of device ${clientId} did not end as it should`, {
        reason: (error as Error).message,
      })
    }
    // Not before it has ended: an acknowledgement would be for a message that the device does not have.
    this.#over('the session has ended')
  }

  #onEnded(reason: string): void {
    this.session = null
    this.#over(reason)
    this.#owner.onEndedByBroker(reason)
  }

  #over(reason: string): void {
    this.#token = null
    this.#owner.onSessionOver(reason)
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const done = this.#last.then(act)
    this.#last = done.catch(() => {})
    return done
  }
}
