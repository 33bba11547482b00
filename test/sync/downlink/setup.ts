/** A downlink between a topic in memory and a broker in memory, with time that a test moves. */
import { afterEach } from 'vitest'
import type { LocalMessage, Published } from '../../../broker/index.ts'
import type { Publisher } from '../../../sync/downlink/delivery.ts'
import { Downlink, type DownlinkOptions } from '../../../sync/downlink/downlink.ts'
import type { DownlinkFacts } from '../../../sync/downlink/positions.ts'
import {
  type DownlinkSource,
  type FetchedPartition,
  SourceMovedError,
  type SourceRecord,
  type SourceTopic,
} from '../../../sync/downlink/source.ts'
import { ManualClock } from '../replicator-setup.ts'

export const OPTIONS: DownlinkOptions = {
  name: 'commands',
  filter: { keyPrefixes: [], headers: {} },
  mqttTopic: 'commands/{key}',
  retain: false,
  payloadBytesMax: 1000,
  start: 'earliest',
  outOfRange: 'earliest',
  ownRecords: 'drop',
  hopsMax: 1,
  graceSeconds: 0,
  backoff: { firstMs: 1000, msMax: 20_000 },
}

export const NOW = 1_800_000_000_000

export function record(offset: number, changes: Partial<SourceRecord> = {}): SourceRecord {
  const value = Buffer.from(`v${offset}`)
  return { offset, timestamp: NOW, key: Buffer.from('k'), value, headers: [], ...changes }
}

export class FakeSource implements DownlinkSource {
  readonly address = 'fake:9092'
  readonly topic = 'commands'
  cluster = 'c1'
  topicId = 't1'
  partitions: { startOffset: number; records: SourceRecord[] }[] = [{ startOffset: 0, records: [] }]
  /** Thrown by the next requests. */
  readonly failures: Error[] = []
  opened = 0
  #wake: () => void = () => {}
  #break: () => void = () => {}

  add(partition: number, changes: Partial<SourceRecord> = {}): void {
    const { records } = this.partitions[partition]!
    records.push(record(this.end(partition), changes))
    this.#wake()
  }

  end(partition: number): number {
    const { startOffset, records } = this.partitions[partition]!
    return (records.at(-1)?.offset ?? startOffset - 1) + 1
  }

  async open(): Promise<SourceTopic> {
    this.opened++
    this.#fail()
    const { cluster, topic, topicId } = this
    const partitions = this.partitions.map(({ startOffset }, partition) => {
      return { partition, startOffset, endOffset: this.end(partition) }
    })
    return { cluster, topic, topicId, partitions }
  }

  async fetch(positions: ReadonlyMap<number, number>): Promise<FetchedPartition[]> {
    for (;;) {
      this.#fail()
      const fetched: FetchedPartition[] = []
      for (const [partition, next] of positions) {
        const { startOffset, records } = this.partitions[partition]!
        const endOffset = this.end(partition)
        if (next < startOffset || next > endOffset) throw new SourceMovedError('OFFSET_OUT_OF_RANGE')
        const found = records.filter(({ offset }) => offset >= next)
        if (found.length > 0) fetched.push({ partition, records: found, nextOffset: endOffset, endOffset })
      }
      if (fetched.length > 0) return fetched
      await new Promise<void>((resolve, reject) => {
        this.#wake = resolve
        this.#break = () => reject(new Error('disconnected'))
      })
    }
  }

  /** What waits in `fetch` looks again. */
  wake(): void {
    this.#wake()
  }

  async disconnect(): Promise<void> {
    this.#break()
  }

  #fail(): void {
    const error = this.failures.shift()
    if (error !== undefined) throw error
  }
}

export class FakePublisher implements Publisher {
  readonly published: LocalMessage[] = []
  readonly subscribed = new Set<string>()
  /** Answers for the next calls: so many messages are done, then the error. */
  readonly refusals: {
    readonly count: number
    readonly error: Error | null
    readonly tooLarge?: number[]
  }[] = []
  calls = 0

  async hasSubscriber(topic: string): Promise<boolean> {
    return this.subscribed.has(topic)
  }

  async publish(messages: readonly LocalMessage[]): Promise<Published> {
    this.calls++
    const refusal = this.refusals.shift()
    const count = refusal?.count ?? messages.length
    const tooLarge = refusal?.tooLarge ?? []
    this.published.push(...messages.slice(0, count).filter((_, index) => !tooLarge.includes(index)))
    return { count, tooLarge, unacknowledged: 0, error: refusal?.error ?? null }
  }

  get payloads(): string[] {
    return this.published.map(({ payload }) => String(payload))
  }
}

export class MemoryFacts implements DownlinkFacts {
  readonly facts = new Map<string, Buffer>()
  puts = 0

  async get(name: string): Promise<Buffer | undefined> {
    return this.facts.get(name)
  }

  async putAll(facts: readonly (readonly [name: string, payload: Uint8Array])[]): Promise<void> {
    this.puts++
    for (const [name, payload] of facts) this.facts.set(name, Buffer.from(payload))
  }

  next(partition: number): number | undefined {
    const bytes = this.facts.get(`downlink/commands/${partition}`)
    return bytes === undefined ? undefined : JSON.parse(String(bytes)).next
  }
}

const open: Downlink[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((downlink) => downlink.close()))
})

export function setUp(
  changes: {
    source?: FakeSource
    publisher?: FakePublisher
    facts?: MemoryFacts
    options?: Partial<DownlinkOptions>
    trustedNow?: () => number | null
  } = {},
) {
  const clock = new ManualClock()
  clock.time = NOW
  const source = changes.source ?? new FakeSource()
  const publisher = changes.publisher ?? new FakePublisher()
  const facts = changes.facts ?? new MemoryFacts()
  const lines: string[] = []
  const sink = {
    info: (message: string) => lines.push(`info ${message}`),
    warn: (message: string) => lines.push(`warn ${message}`),
    error: (message: string) => lines.push(`error ${message}`),
  }
  const trustedNow = changes.trustedNow ?? (() => clock.now())
  const random = () => 1 - Number.EPSILON
  const deps = { edge: 'pi-7', source, facts, publisher, sink, clock, trustedNow, random }
  const downlink = new Downlink({ ...OPTIONS, ...changes.options }, deps)
  open.push(downlink)
  return { source, publisher, facts, clock, lines, downlink }
}

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
}
