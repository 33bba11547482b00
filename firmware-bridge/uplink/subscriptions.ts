/** The subscriptions of one session that this process made, for a broker that forgets the session while it is away. */
import type { MqttClient as Client } from 'mqtt'
import type { LogSink } from '../../broker/log-sink.ts'
import type { BridgeError } from '../errors.ts'
import type { QoS } from './uplink.ts'

export class Subscriptions {
  readonly #made = new Map<string, QoS>()
  readonly #client: () => Client | null
  readonly #unreachable: () => BridgeError
  readonly #log: LogSink
  /** The broker has none of them. */
  isForgotten = false

  /** @param client of the present connection */
  constructor(client: () => Client | null, unreachable: () => BridgeError, log: LogSink) {
    this.#client = client
    this.#unreachable = unreachable
    this.#log = log
  }

  /** @returns null when the broker refuses it. @throws BrokerUnreachableError */
  subscribe(filter: string, qos: QoS): Promise<QoS | null> {
    const client = this.#client()
    return new Promise((resolve, reject) => {
      if (client === null || !client.connected) return reject(this.#unreachable())
      client.subscribe(filter, { qos }, (error, granted) => {
        // a code is the broker's answer; all else is about the connection
        if (typeof (error as { code?: unknown } | null)?.code === 'number') return resolve(null)
        if (error) return reject(this.#unreachable())
        const given = granted?.[0]?.qos as number | undefined
        if (given === undefined || given > 2) return resolve(null)
        this.#made.set(filter, qos)
        resolve(given as QoS)
      })
    })
  }

  /** @throws BrokerUnreachableError */
  unsubscribe(filter: string): Promise<void> {
    const client = this.#client()
    return new Promise((resolve, reject) => {
      if (client === null || !client.connected) return reject(this.#unreachable())
      this.#made.delete(filter)
      client.unsubscribe(filter, (error) => (error ? reject(this.#unreachable()) : resolve()))
    })
  }

  /** Once connected, not before: mqtt.js rejects until then. Whatever the connection does not last for is made on the next one. */
  async makeAgain(): Promise<void> {
    if (!this.isForgotten) return
    try {
      for (const [filter, qos] of this.#made) {
        if ((await this.subscribe(filter, qos)) !== null) continue
        this.#made.delete(filter)
        this.#log.warn('the broker forgot a subscription and refuses it now', { filter })
      }
      this.isForgotten = false
    } catch {}
  }
}
