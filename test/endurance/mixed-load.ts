/**
 * What a site does all day, with MQTT.js: messages of every QoS, some retained, subscribers, sessions that come and go, replays. Drawn from a
 * seed; it goes on until it is stopped.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { type Random, seededRandom } from '../support/random.ts'

const TOPICS = 500
const PUBLISHERS = 4
const SUBSCRIBERS = 2
/** Client ids that come and go; some come back to their session, some after it has expired. */
const VISITORS = 30
const VISITORS_AT_ONCE = 5
const SESSION_EXPIRY_SECONDS = 20
const REPLAYERS = 2
const PAYLOAD_BYTES_MAX = 1000
const TICK_MS = 20

export interface MixedLoadOptions {
  readonly port: number
  readonly seed: number
  readonly messagesPerSecond: number
}

export interface MixedCounts {
  published: number
  received: number
  visits: number
  replays: number
  replayed: number
}

export class MixedLoad {
  readonly counts: MixedCounts = { published: 0, received: 0, visits: 0, replays: 0, replayed: 0 }
  readonly problems: string[] = []
  readonly #options: MixedLoadOptions
  readonly #clients = new Set<MqttClient>()
  readonly #loops: Promise<void>[] = []
  #isOver = false

  constructor(options: MixedLoadOptions) {
    this.#options = options
  }

  async begin(): Promise<void> {
    let seed = this.#options.seed
    for (let i = 0; i < SUBSCRIBERS; i++) {
      const client = await this.#connect(`watcher-${i}`, { protocolVersion: i % 2 === 0 ? 4 : 5 })
      client.on('message', () => this.counts.received++)
      await client.subscribeAsync('plant/#', { qos: i % 2 === 0 ? 0 : 1 })
    }
    const publishers: MqttClient[] = []
    for (let i = 0; i < PUBLISHERS; i++) {
      publishers.push(await this.#connect(`sensor-${i}`, { protocolVersion: i % 2 === 0 ? 4 : 5 }))
    }
    this.#loops.push(this.#publish(publishers, seededRandom(++seed)))
    for (let i = 0; i < VISITORS_AT_ONCE; i++) this.#loops.push(this.#visit(i, seededRandom(++seed)))
    for (let i = 0; i < REPLAYERS; i++) this.#loops.push(this.#replay(i, seededRandom(++seed)))
  }

  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#loops)
    await Promise.all([...this.#clients].map((client) => client.endAsync(true)))
  }

  async #connect(clientId: string, options: IClientOptions): Promise<MqttClient> {
    const to = { host: '127.0.0.1', port: this.#options.port, clientId, reconnectPeriod: 0 }
    const client = await mqtt.connectAsync({ ...to, ...options })
    this.#clients.add(client)
    // one that is leaving may still want to acknowledge what comes behind its goodbye
    client.on('error', (error) => {
      if (this.#clients.has(client)) this.#problem(`${clientId}: ${error.message}`)
    })
    client.once('close', () => {
      if (this.#clients.delete(client) && !this.#isOver) this.#problem(`${clientId} was cut off`)
    })
    return client
  }

  async #leave(client: MqttClient): Promise<void> {
    this.#clients.delete(client)
    await client.endAsync()
  }

  #problem(text: string): void {
    if (this.problems.length < 10) this.problems.push(text)
  }

  async #publish(publishers: readonly MqttClient[], random: Random): Promise<void> {
    const payload = Buffer.alloc(PAYLOAD_BYTES_MAX, '21.5,')
    const startedAt = performance.now()
    while (!this.#isOver) {
      const due = ((performance.now() - startedAt) * this.#options.messagesPerSecond) / 1000
      for (; this.counts.published < due; this.counts.published++) {
        const client = publishers[random.between(0, publishers.length - 1)]!
        const qos = random.between(0, 2) as 0 | 1 | 2
        const part = payload.subarray(0, random.between(10, PAYLOAD_BYTES_MAX))
        const options = { qos, retain: random.next() < 0.1 }
        client.publish(`plant/${random.between(0, TOPICS - 1)}/value`, part, options, (error) => {
          if (error && !this.#isOver) this.#problem(`a message of QoS ${qos}: ${error.message}`)
        })
      }
      await sleep(TICK_MS)
    }
  }

  /** Comes, subscribes, listens for a while, leaves, and another comes. */
  async #visit(place: number, random: Random): Promise<void> {
    while (!this.#isOver) {
      const clientId = `visitor-${place}-${random.between(0, VISITORS / VISITORS_AT_ONCE - 1)}`
      const properties = { sessionExpiryInterval: SESSION_EXPIRY_SECONDS }
      const client = await this.#connect(clientId, { protocolVersion: 5, clean: false, properties })
      client.on('message', () => this.counts.received++)
      const filter = `plant/+/value`
      const [topic, qos] = [random.next() < 0.5 ? filter : `$share/visitors/${filter}`, random.between(0, 2)]
      await client.subscribeAsync(topic, { qos: qos as 0 | 1 | 2 })
      await this.#pause(random.between(500, 4000))
      if (random.next() < 0.3) await client.unsubscribeAsync(topic)
      await this.#leave(client)
      this.counts.visits++
      await this.#pause(random.between(0, 2000))
    }
  }

  /** Reads from the oldest record on, for a while. */
  async #replay(place: number, random: Random): Promise<void> {
    while (!this.#isOver) {
      const client = await this.#connect(`replays-${place}`, { protocolVersion: 5, clean: true })
      client.on('message', () => this.counts.replayed++)
      await client.subscribeAsync('$replay/anything/earliest', { qos: 1 })
      await this.#pause(random.between(1000, 8000))
      await this.#leave(client)
      this.counts.replays++
    }
  }

  async #pause(ms: number): Promise<void> {
    const end = performance.now() + ms
    while (!this.#isOver && performance.now() < end) await sleep(Math.min(50, end - performance.now()))
  }
}
