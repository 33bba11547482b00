/** An edge behind a bad link: a broker in a process of its own, devices that publish to it, and what it says of its upstream. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ControlClient } from '../../broker/operations/control/control-client.ts'
import type { StatusReport } from '../../broker/operations/operations.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { freePort } from '../support/kafka/ports.ts'
import { Publisher } from './publisher.ts'

export const STREAM = 'events'
export const PARTITIONS = 3
const PUBLISHERS = 5
const POLL_MS = 50

export interface EdgeOptions {
  readonly name: string
  /** host:port of the link. */
  readonly bootstrap: string
  readonly topic: string
}

export class Edge {
  readonly name: string
  readonly #directory: string
  readonly #broker: BrokerProcess
  readonly #publishers: readonly Publisher[]
  #isKept = false
  #isAbandoned = false

  static async start(options: EdgeOptions): Promise<Edge> {
    const directory = await mkdtemp(join(tmpdir(), 'headwater-sync-faults-'))
    const port = await freePort()
    await mkdir(join(directory, 'data'))
    const file = join(directory, 'headwater.yaml')
    await writeFile(file, configuration(options, port))
    const broker = new BrokerProcess(['--config', file])
    await broker.start()
    return new Edge(options.name, directory, broker, port)
  }

  private constructor(name: string, directory: string, broker: BrokerProcess, port: number) {
    this.name = name
    this.#directory = directory
    this.#broker = broker
    this.#publishers = Array.from({ length: PUBLISHERS }, (_, i) => new Publisher(`device-${i}`, port))
  }

  get output(): string {
    return this.#broker.output
  }

  /** Resolves once all are acknowledged. */
  async publish(messages: number): Promise<void> {
    const share = Math.ceil(messages / PUBLISHERS)
    await Promise.all(this.#publishers.map((publisher) => publisher.publish(share)))
  }

  acknowledged(): string[] {
    return this.#publishers.flatMap(({ acknowledged }, i) =>
      Array.from({ length: acknowledged }, (_, sequence) => `device-${i}/${sequence}`),
    )
  }

  async kill(): Promise<void> {
    await this.#broker.end('SIGKILL')
    if (this.#isAbandoned) return
    await this.#broker.start()
  }

  async status(): Promise<StatusReport> {
    const client = await ControlClient.of(join(this.#directory, 'data'))
    return client.json<StatusReport>('GET', '/status')
  }

  /** Resolves once upstream has all. @throws with what the edge says, at the limit or where it has stopped */
  async drained(msMax: number): Promise<readonly number[]> {
    const deadline = Date.now() + msMax
    for (;;) {
      const { streams, upstreams } = await this.status()
      const [upstream] = upstreams
      if (upstream?.state === 'idle' && upstream.lagRecords === 0) {
        const own = streams.find(({ stream }) => stream === STREAM)!
        return own.partitions.map(({ durableOffset }) => durableOffset)
      }
      if (upstream?.state === 'stopped') throw new Error(`it has stopped: ${JSON.stringify(upstream)}`)
      if (Date.now() > deadline) throw new Error(`not drained in ${msMax} ms: ${JSON.stringify(upstream)}`)
      await delay(POLL_MS)
    }
  }

  /** Leaves its data, what it said and what else is to be looked at. @returns where */
  async keep(files: Readonly<Record<string, string>>): Promise<string> {
    this.#isKept = true
    const all = { 'broker.log': this.output, ...files }
    for (const [name, text] of Object.entries(all)) await writeFile(join(this.#directory, name), text)
    return this.#directory
  }

  async abandon(): Promise<void> {
    this.#isAbandoned = true
    await this.#broker.end('SIGKILL')
    await rm(this.#directory, { recursive: true, force: true })
  }

  async end(): Promise<void> {
    await Promise.all(this.#publishers.map((publisher) => publisher.end()))
    await this.#broker.end('SIGTERM')
    if (!this.#isKept) await rm(this.#directory, { recursive: true, force: true })
  }
}

/** Short times, so that a cycle has many rounds, and a lost transaction does not hold up the next for long. */
function configuration({ name, bootstrap, topic }: EdgeOptions, port: number): string {
  return `
edge: ${name}
data: ./data
mqtt:
  listeners: [{ address: "127.0.0.1:${port}" }]
log: { segmentBytes: 1048576 }
streams:
  - { name: ${STREAM}, topics: ["#"], key: topic, partitions: ${PARTITIONS} }
upstreams:
  - name: central
    kind: kafka
    bootstrap: ["${bootstrap}"]
    topic: ${topic}
    createTopics: true
    transactionTimeoutMs: 2000
    round: { bytesMax: 16384, lingerMs: 5 }
    backoff: { firstMs: 20, msMax: 300 }
`
}
