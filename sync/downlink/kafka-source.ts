/**
 * A topic of a Kafka cluster, read from positions that are kept here: it belongs to no group and commits nothing. One connection a
 * broker serves both what the topic is and its records; an answer without records comes after `WAIT_MS`, which keeps an idle
 * link quiet.
 *
 * Memory: one answer of a leader (1 MiB, or one batch where that is larger), and what is handed over at once (`HANDED_BYTES_MAX`).
 */
import type { Clock } from '../clock.ts'
import type { UpstreamDeps } from '../create.ts'
import {
  DownlinkTopicError,
  TopicNotAllowedError,
  TopicOffsetGoneError,
  TopicRecreatedError,
  UpstreamTimeoutError,
} from '../errors.ts'
import { answerError, toUpstreamError } from '../kafka/answers.ts'
import { type ClusterAccess, wireOpener } from '../kafka/create.ts'
import { type FetchedRecords, Fetcher } from '../kafka/fetcher.ts'
import { EARLIEST, type FetchWire, LATEST } from '../kafka/wire.ts'
import { type DownlinkSource, type FetchedPartition, SourceMovedError, type SourceTopic } from './source.ts'

/** How long a leader waits for records. */
const WAIT_MS = 5000
/** For any answer, that of a leader that waits for records included. */
const REQUEST_MS = 15_000
/** How long trouble is sat out by the fetcher before the downlink is told and shows it. */
const PATIENCE_MS = 5000
/** `fetch` comes back after this without records, so that what was asked of the downlink meanwhile is done. */
const EMPTY_MS = 500
const HANDED_BYTES_MAX = 1024 * 1024
const MISSING = 'UNKNOWN_TOPIC_OR_PARTITION'
const LEADERLESS = new Set(['LEADER_NOT_AVAILABLE', 'NOT_LEADER_OR_FOLLOWER'])

export type KafkaSourceDeps = UpstreamDeps & { readonly clock: Clock }

type Read = AsyncGenerator<FetchedRecords>

export class KafkaSource implements DownlinkSource {
  readonly address: string
  readonly topic: string
  readonly #clock: Clock
  readonly #openWire: () => Promise<FetchWire>
  #wire: FetchWire | null = null
  #fetcher: Fetcher | null = null
  #topic: SourceTopic | null = null
  #read: Read | null = null
  /** The read's next step, where it was not there in time. */
  #next: Promise<IteratorResult<FetchedRecords>> | null = null

  constructor(cluster: ClusterAccess, topic: string, deps: KafkaSourceDeps) {
    this.address = cluster.bootstrap.join(',')
    this.topic = topic
    this.#clock = deps.clock
    this.#openWire = wireOpener(cluster, deps, REQUEST_MS)
  }

  async open(): Promise<SourceTopic> {
    try {
      const topic = await this.#describe()
      const isSame =
        topic.topicId === this.#topic?.topicId && topic.partitions.length === this.#topic.partitions.length
      if (!isSame) this.#endRead()
      this.#topic = topic
      return topic
    } catch (error) {
      throw toUpstreamError(error, this.address)
    }
  }

  async fetch(positions: ReadonlyMap<number, number>): Promise<FetchedPartition[]> {
    this.#read ??= this.#begin(positions)
    const fetched: FetchedPartition[] = []
    let bytes = 0
    try {
      for (let first = true; first || bytes < HANDED_BYTES_MAX; first = false) {
        this.#next ??= this.#read.next()
        const result = await (first ? this.#within(this.#next) : ready(this.#next))
        if (result === null) break
        this.#next = null
        // A read without an end ends when it is closed.
        if (result.done) break
        fetched.push(result.value)
        for (const { key, value } of result.value.records)
          bytes += 64 + (key?.length ?? 0) + (value?.length ?? 0)
      }
      return fetched
    } catch (error) {
      this.#endRead()
      const hasMoved = error instanceof TopicOffsetGoneError || error instanceof TopicRecreatedError
      throw hasMoved
        ? new SourceMovedError(error.message, { cause: error })
        : toUpstreamError(error, this.address)
    }
  }

  async disconnect(): Promise<void> {
    this.#topic = null
    this.#endRead()
    this.#drop()
  }

  async #describe(): Promise<SourceTopic> {
    const { topic } = this
    const cluster = await (await this.#shared()).metadata([topic])
    const info = cluster.topics.get(topic)
    this.#check(info?.answer ?? MISSING)
    const partitions = info!.partitions.map(({ partition }) => partition).sort((a, b) => a - b)
    const wanted = new Map([[topic, partitions]])
    // A Fetch that waits for records is before these in the connection: they take up to WAIT_MS.
    const fetcher = this.#theFetcher()
    const starts = await fetcher.offsets(wanted, EARLIEST)
    const ends = await fetcher.offsets(wanted, LATEST)
    return {
      cluster: cluster.clusterId,
      topic,
      topicId: info!.topicId,
      partitions: partitions.map((partition) => {
        const key = `${topic}/${partition}`
        return { partition, startOffset: starts.get(key)!, endOffset: ends.get(key)! }
      }),
    }
  }

  #check(answer: string): void {
    const { topic, address } = this
    if (answer === 'NONE') return
    if (answer === MISSING) throw new DownlinkTopicError(topic, address)
    if (answer === 'TOPIC_AUTHORIZATION_FAILED') {
      const hint = `allow this user to read it: kafka-acls.sh --add --operation Describe --operation Read --topic ${topic} --allow-principal User:NAME`
      throw new TopicNotAllowedError(topic, 'this user may not read it', hint)
    }
    if (LEADERLESS.has(answer)) throw new UpstreamTimeoutError(`a partition of topic ${topic} has no leader`)
    throw answerError(answer, `Metadata of ${topic}`)
  }

  #begin(positions: ReadonlyMap<number, number>): Read {
    const { topic } = this
    const topicId = this.#topic!.topicId
    const from = [...positions].map(([partition, offset]) => ({ topic, topicId, partition, offset }))
    return this.#theFetcher().read(from)
  }

  #theFetcher(): Fetcher {
    this.#fetcher ??= new Fetcher(
      { bootstrap: this.address, isolation: 'read_committed', waitMs: WAIT_MS, patienceMs: PATIENCE_MS },
      { openWire: () => this.#shared(), clock: this.#clock },
    )
    return this.#fetcher
  }

  /** The fetcher has the only connections there are: it drops them when they break, and then they are opened again. */
  async #shared(): Promise<FetchWire> {
    if (this.#wire !== null) return this.#wire
    const wire = await this.#openWire()
    const close = (): void => {
      if (this.#wire === shared) this.#wire = null
      wire.close()
    }
    const shared: FetchWire = {
      metadata: (topics) => wire.metadata(topics),
      listOffsets: (...request) => wire.listOffsets(...request),
      fetch: (...request) => wire.fetch(...request),
      close,
    }
    this.#wire = shared
    return shared
  }

  #endRead(): void {
    const read = this.#read
    this.#read = null
    this.#next?.catch(() => {})
    this.#next = null
    if (read === null) return
    // It waits for an answer until its connections are closed.
    this.#drop()
    void read.return(undefined).catch(() => {})
  }

  #drop(): void {
    this.#fetcher?.close()
    this.#fetcher = null
    this.#wire?.close()
    this.#wire = null
  }

  /** @returns null when it does not come within EMPTY_MS */
  #within<T>(promise: Promise<T>): Promise<T | null> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(EMPTY_MS, () => resolve(null))
      promise.then(resolve, reject).finally(cancel)
    })
  }
}

/** What is there without waiting; null when nothing is. */
function ready<T>(promise: Promise<T>): Promise<T | null> {
  return Promise.race([promise, new Promise<null>((resolve) => setImmediate(() => resolve(null)))])
}
