/** Publishes sensors as JSON with QoS 1, each at its own pace. */
import type { Sensor } from './sensor.ts'

/** When so many messages wait for their acknowledgement, new ones are counted and left out. */
const UNACKNOWLEDGED_MAX = 1000

/** The part of an MQTT client that is used. */
export interface PublishClient {
  publishAsync(topic: string, payload: string, options: { qos: 1 }): Promise<unknown>
}

export class Publisher {
  readonly #client: PublishClient
  readonly #timers = new Set<NodeJS.Timeout>()
  #unacknowledged = 0
  acknowledged = 0
  leftOut = 0

  constructor(client: PublishClient) {
    this.#client = client
  }

  /** @param spreadMs the first readings are spread over this time, so that they do not come in one beat. */
  start(sensors: readonly Sensor[], spreadMs: number): void {
    for (const [index, sensor] of sensors.entries()) {
      this.#schedule(sensor, Math.round((spreadMs * index) / sensors.length))
    }
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }

  #schedule(sensor: Sensor, afterMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      const now = Date.now()
      const { payload, afterMs: next } = sensor.tick(now)
      if (payload !== null) this.#publish(sensor.topic, { at: new Date(now).toISOString(), ...payload })
      this.#schedule(sensor, next)
    }, afterMs)
    this.#timers.add(timer)
  }

  #publish(topic: string, payload: object): void {
    if (this.#unacknowledged >= UNACKNOWLEDGED_MAX) {
      this.leftOut++
      return
    }
    this.#unacknowledged++
    this.#client
      .publishAsync(topic, JSON.stringify(payload), { qos: 1 })
      .then(() => this.acknowledged++)
      .catch(() => this.leftOut++)
      .finally(() => this.#unacknowledged--)
  }
}
