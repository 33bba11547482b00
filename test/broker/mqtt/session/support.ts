/** Sessions over a real log, on any disk, with a clock of the test's. */
import { afterEach } from 'vitest'
import type { EventLog } from '../../../../broker/log/event-log.ts'
import { partitionOf } from '../../../../broker/log/murmur2.ts'
import { encodeHeaders, type LogRecord, type RecordHeader } from '../../../../broker/log/record-batch.ts'
import { OPEN_ACCESS } from '../../../../broker/mqtt/connection/access.ts'
import type { Message, Place } from '../../../../broker/mqtt/hub/message.ts'
import type { MessageProperties, QoS, Will } from '../../../../broker/mqtt/packets/packet.ts'
import type { SessionRules } from '../../../../broker/mqtt/session/away-review.ts'
import type { SessionLimits } from '../../../../broker/mqtt/session/limits.ts'
import { Sessions } from '../../../../broker/mqtt/session/sessions.ts'
import type { TopicHub } from '../../../../broker/mqtt/session/topic-hub.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { type LogOptions, MEMORY_PATH, openLog, RecordingSink } from '../../log/support.ts'
import { NaiveHub } from './naive-hub.ts'

export const STATE_PATH = `${MEMORY_PATH}/mqtt`

let open = new Set<Sessions>()
afterEach(async () => {
  const all = [...open]
  open = new Set()
  await Promise.all(all.map((sessions) => sessions.close().catch(() => undefined)))
})

/** A clock that goes when the test says so. */
export class TestClock {
  #monotonic = 5_000
  wall = 1_800_000_000_000
  isTrusted = true

  now(): number {
    return this.wall
  }
  monotonic(): number {
    return this.#monotonic
  }
  trustedNow(): number | null {
    return this.isTrusted ? this.wall : null
  }
  /** Time goes by. */
  pass(ms: number): void {
    this.#monotonic += ms
    this.wall += ms
  }
  /** Another boot: the monotonic clock begins anew. */
  boot(): void {
    this.#monotonic = 1_000
  }
}

export interface PublishOptions {
  readonly qos?: QoS
  readonly isRetained?: boolean
  readonly clientId?: string
  readonly properties?: MessageProperties
  /** No stream takes it. */
  readonly isInline?: boolean
}

export interface BrokerOptions {
  readonly limits?: Partial<SessionLimits>
  readonly log?: LogOptions
  readonly clock?: TestClock
  readonly sink?: RecordingSink
  readonly publishWill?: (will: Will, clientId: string) => Promise<void>
  /** Where the disk is not one in memory. */
  readonly path?: string
  readonly hub?: TopicHub
  /** Others are taken from there where everybody may do everything. */
  readonly rules?: Partial<SessionRules>
}

/** As much of a broker as sessions need. */
export class TestBroker {
  readonly disk: Disk
  readonly log: EventLog
  readonly sessions: Sessions
  readonly clock: TestClock
  readonly sink: RecordingSink
  wills: string[] = []

  private constructor(disk: Disk, log: EventLog, sessions: Sessions, clock: TestClock, sink: RecordingSink) {
    this.disk = disk
    this.log = log
    this.sessions = sessions
    this.clock = clock
    this.sink = sink
  }

  static async open(disk: Disk = new MemoryDisk(), options: BrokerOptions = {}): Promise<TestBroker> {
    const { clock = new TestClock(), sink = new RecordingSink(), path = MEMORY_PATH } = options
    const log = await openLog(disk, { sink, path, ...options.log })
    const wills: string[] = []
    let broker: TestBroker | undefined
    const sessions = await Sessions.open({
      disk,
      data: path,
      log,
      hub: options.hub ?? new NaiveHub(),
      sink,
      clock,
      messageOf,
      // a test ticks when it wants to
      every: () => () => {},
      limits: options.limits ?? {},
      ...(options.rules === undefined ? {} : { rules: { ...OPEN_ACCESS, ...options.rules } }),
      publishWill: async (will, clientId) => {
        await options.publishWill?.(will, clientId)
        const { topic, payload, qos, isRetained } = will
        await broker!.publish(topic, payload.toString(), { qos, isRetained, clientId })
        wills.push(`${clientId} ${topic}`)
      },
    })
    open.add(sessions)
    broker = new TestBroker(disk, log, sessions, clock, sink)
    broker.wills = wills
    sessions.start()
    return broker
  }

  /** Resolves when the publisher would get its acknowledgement. */
  publish(topic: string, payload: string, options: PublishOptions = {}): Promise<void> {
    const { qos = 1, isRetained = false, clientId = 'publisher', properties = null, isInline } = options
    const message = {
      topic,
      payload: Buffer.from(payload),
      qos,
      isRetained,
      properties,
      timestamp: this.clock.now(),
      clientId,
    }
    if (isInline === true) return this.sessions.storeInline({ ...message, place: null })
    const { chain, partitions } = this.log.stream('events')
    const key = Buffer.from(topic)
    const partition = partitions[partitionOf(key, partitions.length)]!
    const headers = encodeHeaders(headersOf(message))
    chain.append(partition, message.timestamp, key, message.payload, headers)
    // in the test's log one message at a time goes into a partition's batch: its place is known once it is on disk
    const nth = partition.open!.count - 1
    return new Promise((resolve, reject) => {
      const before = partition
      chain.onCommit((error) => {
        if (error !== null) {
          reject(error)
          return
        }
        const offset = this.#committedFrom(before) + nth
        this.sessions.onCommitted({ ...message, place: { partition, offset } })
        resolve()
      })
    })
  }

  /** The first offset of the commit that has just come to disk. */
  #committedFrom(partition: { id: number; durableOffset: number }): number {
    const index = this.log.stream('events').chain.row.open.index.partitions.get(partition.id)!
    return index.offsetAt(index.count - 1)
  }

  /** Ends the process as a service manager does. */
  async close(): Promise<void> {
    open.delete(this.sessions)
    await this.sessions.close()
    await this.log.close()
  }

  /** The same broker after a clean stop. */
  async restart(options: BrokerOptions = {}): Promise<TestBroker> {
    await this.close()
    this.clock.boot()
    return TestBroker.open(this.disk, { clock: this.clock, sink: this.sink, ...options })
  }

  /** The same broker after a power cut: of what was not synced so many of each store's writes are left. */
  async cut(options: BrokerOptions = {}, kept: (unsynced: number) => number = () => 0): Promise<TestBroker> {
    open.delete(this.sessions)
    const memory = (this.disk instanceof FaultyDisk ? this.disk.below : this.disk) as MemoryDisk
    memory.crash(kept)
    await this.sessions.close().catch(() => undefined)
    await this.log.close().catch(() => undefined)
    this.clock.boot()
    return TestBroker.open(memory, { clock: this.clock, sink: this.sink, ...options })
  }
}

function headersOf({ isRetained, properties, qos }: Omit<Message, 'place'>): RecordHeader[] {
  const headers: RecordHeader[] = []
  if (isRetained) headers.push({ key: 'retain', value: Buffer.of(qos) })
  if (properties !== null) headers.push({ key: 'properties', value: Buffer.from(JSON.stringify(properties)) })
  return headers
}

export function messageOf(record: LogRecord, place: Place): Message {
  const header = (name: string) => record.headers.find(({ key }) => key === name)?.value ?? null
  const properties = header('properties')
  const retain = header('retain')
  return {
    topic: record.key!.toString(),
    payload: record.value ?? Buffer.alloc(0),
    qos: retain === null ? 2 : (retain[0] as QoS),
    isRetained: retain !== null,
    properties: properties === null ? null : (JSON.parse(properties.toString()) as MessageProperties),
    timestamp: record.timestamp,
    clientId: null,
    place,
  }
}

/** All that waits for a turn of the event loop has had several. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}
