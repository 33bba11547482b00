import { setTimeout as sleep } from 'node:timers/promises'
import type { TopicRecord } from './batches.ts'
import { check, findLeaders, ProtocolError } from './metadata.ts'
import { collectVisible, type Fetched } from './visibility.ts'
import { ConnectionError, type FieldReader, FieldWriter, WireConnection } from './wire.ts'

export type { TopicRecord } from './batches.ts'

export interface ReadOptions {
  /** `read_committed` (default): no records of aborted transactions, none beyond the first open transaction. */
  isolation?: 'read_committed' | 'read_uncommitted'
  /**
   * Wait until no transaction is open in the topic. Without it, what was committed a moment ago may be missing: Kafka
   * acknowledges a commit before it writes the markers that make records visible.
   */
  settled?: boolean
  /** Limit of the whole reading; 30 s by default. */
  timeoutMs?: number
}

const FETCH = 1
const LIST_OFFSETS = 2

const EARLIEST = -2n
const LATEST = -1n
const FETCH_BYTES_MAX = 16 << 20
const FETCH_WAIT_MS_MAX = 500
const RETRY_MS = 50
const SETTLE_MS = 10
const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1

/** Errors of a leader that is changing, starting or unknown: look for it again. */
const RETRIABLE = new Set([3, 5, 6, 7, 8, 9, 74, 75, 78])
const OFFSET_OUT_OF_RANGE = 1

/**
 * Everything in a topic from its beginning to the end offsets seen at the call, partition by partition, in order.
 * It belongs to no group and commits nothing. The end under `read_committed` is the last stable offset.
 */
export async function readTopic(
  bootstrap: string,
  topic: string,
  options: ReadOptions = {},
): Promise<TopicRecord[]> {
  const { isolation = 'read_committed', settled = false, timeoutMs = 30_000 } = options
  const reader = new TopicReader(
    bootstrap,
    topic,
    isolation === 'read_committed' ? READ_COMMITTED : READ_UNCOMMITTED,
  )
  const timer = setTimeout(() => reader.expire(`${topic} was not read within ${timeoutMs} ms`), timeoutMs)
  try {
    return await reader.readAll(settled)
  } finally {
    clearTimeout(timer)
    reader.close()
  }
}

class TopicReader {
  readonly #bootstrap: string[]
  readonly #topic: string
  readonly #isolation: number
  readonly #connections = new Map<string, WireConnection>()
  #leaders: Map<number, string> | undefined
  #expired: string | undefined
  #failures = 0

  constructor(bootstrap: string, topic: string, isolation: number) {
    this.#bootstrap = bootstrap.split(',')
    this.#topic = topic
    this.#isolation = isolation
  }

  async readAll(settled: boolean): Promise<TopicRecord[]> {
    const partitions = [...(await this.#retrying(() => this.#findLeaders())).keys()].sort((a, b) => a - b)
    // All ends first: together they are the picture at the call.
    const ends = new Map<number, bigint>()
    for (const partition of partitions) {
      if (settled) await this.#settle(partition)
      ends.set(partition, await this.#listOffset(partition, LATEST))
    }
    const records: TopicRecord[] = []
    for (const partition of partitions) await this.#readPartition(partition, ends.get(partition)!, records)
    return records
  }

  expire(reason: string): void {
    this.#expired = reason
    this.close()
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close(this.#expired)
    this.#connections.clear()
    this.#leaders = undefined
  }

  /** Until the last stable offset has reached the high watermark. */
  async #settle(partition: number): Promise<void> {
    const end = await this.#listOffset(partition, LATEST, READ_UNCOMMITTED)
    while ((await this.#listOffset(partition, LATEST, READ_COMMITTED)) < end) await sleep(SETTLE_MS)
  }

  async #readPartition(partition: number, end: bigint, records: TopicRecord[]): Promise<void> {
    let position = await this.#listOffset(partition, EARLIEST)
    while (position < end) {
      try {
        const fetched = await this.#retrying(() => this.#fetch(partition, position))
        position = collectVisible(partition, position, end, fetched, records)
      } catch (error) {
        // Retention went past us.
        if (!(error instanceof ProtocolError) || error.code !== OFFSET_OUT_OF_RANGE) throw error
        position = await this.#listOffset(partition, EARLIEST)
      }
    }
  }

  async #fetch(partition: number, position: bigint): Promise<Fetched> {
    const request = new FieldWriter()
      .int32(-1) // not a replica
      .int32(FETCH_WAIT_MS_MAX)
      .int32(1) // bytes at least
      .int32(FETCH_BYTES_MAX)
      .int8(this.#isolation)
      .int32(0) // no fetch session
      .int32(-1)
    this.#onePartition(request, partition)
      .int32(-1) // leader epoch, not checked
      .int64(position)
      .int64(-1n) // log start offset, of replicas only
      .int32(FETCH_BYTES_MAX)
      .int32(0) // forgotten topics
    const answer = await (await this.#leader(partition)).request(FETCH, 10, request.finish())
    answer.int32() // throttle time
    check(this.#topic, answer.int16())
    answer.int32() // session
    this.#skipToPartition(answer)
    check(`${this.#topic}, partition ${partition}`, answer.int16())
    answer.int64() // high watermark
    answer.int64() // last stable offset
    answer.int64() // log start offset
    const aborted = answer.array(() => ({ producerId: answer.int64(), firstOffset: answer.int64() }))
    return { aborted, bytes: answer.take(Math.max(0, answer.int32())) }
  }

  async #listOffset(partition: number, timestamp: bigint, isolation = this.#isolation): Promise<bigint> {
    return this.#retrying(async () => {
      const request = new FieldWriter().int32(-1).int8(isolation)
      this.#onePartition(request, partition).int64(timestamp)
      const answer = await (await this.#leader(partition)).request(LIST_OFFSETS, 2, request.finish())
      answer.int32() // throttle time
      this.#skipToPartition(answer)
      check(`${this.#topic}, partition ${partition}`, answer.int16())
      answer.int64() // timestamp
      return answer.int64()
    })
  }

  #onePartition(request: FieldWriter, partition: number): FieldWriter {
    return request.int32(1).string(this.#topic).int32(1).int32(partition)
  }

  #skipToPartition(answer: FieldReader): void {
    answer.int32()
    answer.string()
    answer.int32()
    answer.int32()
  }

  async #leader(partition: number): Promise<WireConnection> {
    this.#leaders ??= await this.#findLeaders()
    const address = this.#leaders.get(partition)
    if (address === undefined) throw new Error(`${this.#topic} has no partition ${partition}`)
    return this.#connection(address)
  }

  /** Asks one of the nodes, another one after each failure: the first may be down. */
  #findLeaders(): Promise<Map<number, string>> {
    const seed = this.#bootstrap[this.#failures % this.#bootstrap.length]!
    return findLeaders(this.#connection(seed), this.#topic)
  }

  #connection(address: string): WireConnection {
    if (this.#expired) throw new Error(this.#expired)
    let connection = this.#connections.get(address)
    if (connection === undefined) {
      connection = new WireConnection(address)
      this.#connections.set(address, connection)
    }
    return connection
  }

  /** Tries again with new connections and leaders until it works, fails for good, or time is up. */
  async #retrying<T>(work: () => Promise<T>): Promise<T> {
    let last = 'no answer'
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (this.#expired) throw new Error(`${this.#expired}: ${last}`)
        const isPassing =
          error instanceof ProtocolError ? RETRIABLE.has(error.code) : error instanceof ConnectionError
        if (!isPassing) throw error
        last = (error as Error).message
        this.#failures++
        this.close()
        await sleep(RETRY_MS)
      }
    }
  }
}
