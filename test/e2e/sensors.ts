/** Sensors for end-to-end tests: real mqtt.js clients that publish numbered messages and remember what was acknowledged. */
import mqtt, { type MqttClient } from 'mqtt'

export interface SensorPlan {
  readonly clientId: string
  readonly topic: string
  readonly messages: number
  readonly qos: 1 | 2
  /** Messages under way at once. */
  readonly windowMax: number
}

export class Sensor {
  readonly plan: SensorPlan
  /** Sequence numbers that the broker acknowledged. */
  readonly acknowledged = new Set<number>()
  /** Sequence numbers whose PUBLISH was sent more than once. */
  readonly repeated = new Set<number>()
  readonly #client: MqttClient
  #onAcknowledged: () => void

  constructor(plan: SensorPlan, port: number, onAcknowledged: () => void) {
    this.plan = plan
    this.#onAcknowledged = onAcknowledged
    this.#client = mqtt.connect({
      host: '127.0.0.1',
      port,
      clientId: plan.clientId,
      clean: false,
      reconnectPeriod: 20,
      connectTimeout: 5_000,
    })
    this.#client.on('error', () => {})
    const sent = new Set<number>()
    // counted here: mqtt.js does not mark what it sends again as DUP
    this.#client.on('packetsend', (packet) => {
      if (packet.cmd !== 'publish') return
      const sequence = sequenceOf(Buffer.from(packet.payload))
      if (sent.has(sequence)) this.repeated.add(sequence)
      sent.add(sequence)
    })
  }

  /** Publishes all messages; resolves once every one is acknowledged. */
  async run(): Promise<void> {
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < this.plan.messages) {
        const sequence = next++
        while (!(await this.#publish(sequence)));
        this.acknowledged.add(sequence)
        this.#onAcknowledged()
      }
    }
    await Promise.all(Array.from({ length: this.plan.windowMax }, worker))
  }

  /** @returns false where mqtt.js gave the message back unsent: it does so with those that wait while it connects again. */
  async #publish(sequence: number): Promise<boolean> {
    try {
      await this.#client.publishAsync(this.plan.topic, payloadOf(this.plan.clientId, sequence), {
        qos: this.plan.qos,
      })
      return true
    } catch (error) {
      if ((error as Error).message !== 'Connection closed') throw error
      return false
    }
  }

  async end(): Promise<void> {
    await this.#client.endAsync(true)
  }
}

function payloadOf(clientId: string, sequence: number): string {
  return JSON.stringify({ sensor: clientId, n: sequence, celsius: 20 + (sequence % 17) / 4 })
}

export function sequenceOf(payload: Uint8Array): number {
  return (JSON.parse(Buffer.from(payload).toString('utf8')) as { n: number }).n
}
