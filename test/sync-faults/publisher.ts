/** A device that publishes numbered messages at QoS 1 and knows which were acknowledged, through restarts of its broker. */
import mqtt, { type MqttClient } from 'mqtt'

/** Stands before a digit in every payload: a place where a flipped bit is a flipped bit of a record. */
export const MARK = '"celsius":2'

export class Publisher {
  readonly #client: MqttClient
  readonly #name: string
  #next = 0
  /** Sequence numbers below are acknowledged. */
  acknowledged = 0

  constructor(name: string, port: number) {
    this.#name = name
    this.#client = mqtt.connect({
      host: '127.0.0.1',
      port,
      clientId: name,
      clean: false,
      reconnectPeriod: 20,
      connectTimeout: 5_000,
    })
    this.#client.on('error', () => {})
  }

  /** Resolves once all of them are acknowledged. */
  async publish(messages: number): Promise<void> {
    const sequences = Array.from({ length: messages }, () => this.#next++)
    await Promise.all(sequences.map((sequence) => this.#publish(sequence)))
    this.acknowledged = this.#next
  }

  async end(): Promise<void> {
    await this.#client.endAsync(true)
  }

  async #publish(sequence: number): Promise<void> {
    const payload = `{"id":"${this.#name}/${sequence}",${MARK}${sequence % 10}.5,"unit":"C"}`
    for (;;) {
      try {
        await this.#client.publishAsync(`plant/${this.#name}/state`, payload, { qos: 1 })
        return
      } catch (error) {
        // mqtt.js gives back what waits while it connects again
        if ((error as Error).message !== 'Connection closed') throw error
      }
    }
  }
}

/** `device/sequence` of a payload; null where it is not as it was published. */
export function idOf(payload: string): string | null {
  const found = /^\{"id":"([a-z0-9-]+\/([0-9]+))","celsius":2([0-9])\.5,"unit":"C"\}$/.exec(payload)
  return found !== null && Number(found[2]) % 10 === Number(found[3]) ? found[1]! : null
}
