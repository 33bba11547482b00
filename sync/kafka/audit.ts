/**
 * A Kafka cluster, read back for the verification: the topics of the edge's streams, under read_committed, from their start to
 * what was written when the verification began. Whose a record is says its header hw.origin.
 */
import {
  type LogIdentity,
  type LogRecord,
  type PartitionState,
  partitionKey,
  type RecordHeader,
} from '../../broker/index.ts'
import type { AuditItem, AuditSource, Strangers } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import { UnverifiableError } from '../errors.ts'
import { ORIGIN_HEADER, originPrefix } from '../origin-header.ts'
import { toUpstreamError } from './answers.ts'
import { Fetcher } from './fetcher.ts'
import { type CheckpointWire, recordedMapping } from './recorded-mapping.ts'
import type { Partitioning } from './routes.ts'
import { topicName } from './topics.ts'
import { EARLIEST, type FetchWire, LATEST } from './wire.ts'

export interface KafkaAuditOptions {
  readonly name: string
  readonly bootstrap: string
  readonly topic: string
  readonly provenance: 'record' | 'none'
  /** The edge's group is this followed by its id. */
  readonly groupPrefix: string
  readonly partitioning: Partitioning
}

export interface KafkaAuditDeps {
  readonly openWire: () => Promise<FetchWire & CheckpointWire>
  readonly clock: Clock
  readonly close?: () => void
}

/** How long transactions that were open at the beginning may take to end: a round's timeout, and the coordinator's look at it. */
const DECIDED_MS_MAX = 60_000
const DECIDED_POLL_MS = 200

interface Place {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly until: number
  readonly isCutShort: boolean
}

interface Origin {
  readonly stream: string
  readonly partition: number
}

export class KafkaAudit implements AuditSource {
  readonly kind = 'kafka'
  readonly name: string
  readonly address: string
  readonly #options: KafkaAuditOptions
  readonly #deps: KafkaAuditDeps
  readonly #clock: Clock
  readonly #committed: Fetcher
  readonly #uncommitted: Fetcher
  #otherEdges = 0
  #otherLogs = 0
  #unmarked = 0

  constructor(options: KafkaAuditOptions, deps: KafkaAuditDeps) {
    this.name = options.name
    this.address = options.bootstrap
    this.#options = options
    this.#deps = deps
    this.#clock = deps.clock
    const { bootstrap } = options
    this.#committed = new Fetcher({ bootstrap, isolation: 'read_committed' }, deps)
    this.#uncommitted = new Fetcher({ bootstrap, isolation: 'read_uncommitted' }, deps)
  }

  get strangers(): Strangers {
    return { otherEdges: this.#otherEdges, otherLogs: this.#otherLogs, unmarked: this.#unmarked }
  }

  async *read(
    identity: LogIdentity,
    partitions: readonly PartitionState[],
    signal: AbortSignal,
  ): AsyncGenerator<AuditItem> {
    if (this.#options.provenance === 'none') {
      throw new UnverifiableError(
        this.name,
        'provenance is none, so that records in Kafka do not say where they come from',
        'set provenance: record on this upstream; what is sent from then on can be verified',
      )
    }
    try {
      yield* this.#readTopics(identity, partitions, signal)
    } catch (error) {
      throw toUpstreamError(error, this.#options.bootstrap)
    }
  }

  async close(): Promise<void> {
    this.#deps.close?.()
    this.#committed.close()
    this.#uncommitted.close()
  }

  async *#readTopics(
    identity: LogIdentity,
    partitions: readonly PartitionState[],
    signal: AbortSignal,
  ): AsyncGenerator<AuditItem> {
    const origins = new Map<string, Origin>()
    const streamOf = new Map<string, string>()
    for (const { stream, partition } of partitions) {
      streamOf.set(topicName(this.#options.topic, identity, stream), stream)
      origins.set(originPrefix(identity, stream, partition), { stream, partition })
    }
    const places = await this.#places([...streamOf.keys()], signal)
    const isByKey = await this.#topicsByKey(identity, partitions, streamOf, places)
    const gaps = (place: Place, reason: string) =>
      gapsOf(place, reason, streamOf.get(place.topic)!, partitions, isByKey.has(place.topic))
    for (const place of places) if (place.offset > 0) yield* gaps(place, retentionGap(place))
    for await (const { topic, partition, records, hasOwnTime } of this.#committed.read(places, signal)) {
      yield* this.#runs(`${topic}/${partition}`, records, hasOwnTime, origins, identity)
    }
    for (const place of places) if (place.isCutShort) yield* gaps(place, hiddenGap(place))
  }

  /** Where each partition of the topics begins, and ends once the transactions in it that are open now have ended. */
  async #places(topics: readonly string[], signal: AbortSignal): Promise<Place[]> {
    const all = new Map<string, number[]>()
    for (const topic of topics) all.set(topic, await this.#committed.partitions(topic, signal))
    const starts = await this.#committed.offsets(all, EARLIEST, signal)
    const written = await this.#uncommitted.offsets(all, LATEST, signal)
    let decided = await this.#committed.offsets(all, LATEST, signal)
    const until = this.#clock.monotonic() + DECIDED_MS_MAX
    const isDecided = () => [...written].every(([key, end]) => decided.get(key)! >= end)
    while (!isDecided() && this.#clock.monotonic() < until && !signal.aborted) {
      await new Promise<void>((resolve) => this.#clock.after(DECIDED_POLL_MS, resolve))
      decided = await this.#committed.offsets(all, LATEST, signal)
    }
    return [...all].flatMap(([topic, partitions]) =>
      partitions.map((partition) => {
        const key = partitionKey(topic, partition)
        const end = decided.get(key)!
        const isCutShort = end < written.get(key)!
        return { topic, partition, offset: starts.get(key)!, until: end, isCutShort }
      }),
    )
  }

  /**
   * Topics in which any partition can have records of any of the stream's: what is not there of one is a gap in all. Asked only where
   * there are gaps; where the checkpoint does not tell it is what the numbers of partitions say.
   */
  async #topicsByKey(
    identity: LogIdentity,
    partitions: readonly PartitionState[],
    streamOf: ReadonlyMap<string, string>,
    places: readonly Place[],
  ): Promise<Set<string>> {
    const { partitioning, groupPrefix } = this.#options
    const group = `${groupPrefix}${identity.edge}`
    const gapped = new Set(places.filter(hasGap).map(({ topic }) => topic))
    if (partitioning === 'identity' || gapped.size === 0) return new Set()
    if (partitioning === 'key') return gapped
    const wire = await this.#deps.openWire()
    const found = new Set<string>()
    try {
      for (const topic of gapped) {
        const stream = streamOf.get(topic)!
        const has = places.filter((place) => place.topic === topic).length
        const recorded = await recordedMapping(wire, this.#clock, group, identity, stream, topic, has).catch(
          () => null,
        )
        const isSame = partitions.filter((state) => state.stream === stream).length === has
        if ((recorded ?? (isSame ? 'identity' : 'key')) === 'key') found.add(topic)
      }
    } finally {
      wire.close()
    }
    return found
  }

  /** Neighbours of one partition of the edge together. */
  *#runs(
    place: string,
    records: readonly LogRecord[],
    hasOwnTime: boolean,
    origins: ReadonlyMap<string, Origin>,
    identity: LogIdentity,
  ): Generator<AuditItem> {
    let current: Origin | null = null
    let run: LogRecord[] = []
    for (const record of records) {
      const found = this.#identify(record, origins, identity)
      if (found === null) continue
      if (found.origin !== current) {
        if (current !== null) yield { kind: 'records', place, ...current, records: run, hasOwnTime }
        current = found.origin
        run = []
      }
      run.push(found.record)
    }
    if (current !== null) yield { kind: 'records', place, ...current, records: run, hasOwnTime }
  }

  /** @returns null for a record that is not of this log; the record with the edge's offset and without the header */
  #identify(
    record: LogRecord,
    origins: ReadonlyMap<string, Origin>,
    { edge }: LogIdentity,
  ): { origin: Origin; record: LogRecord } | null {
    // Sync puts it behind the others; one that a publisher gave is not it.
    const at = record.headers.findLastIndex(({ key }) => key === ORIGIN_HEADER)
    const text = record.headers[at]?.value?.toString('utf8')
    if (text === undefined) {
      this.#unmarked++
      return null
    }
    const prefixEnd = text.lastIndexOf('/') + 1
    const origin = origins.get(text.slice(0, prefixEnd))
    const digits = text.slice(prefixEnd)
    if (origin === undefined || !/^\d{1,16}$/.test(digits)) {
      if (text.startsWith(`${edge}/`)) this.#otherLogs++
      else this.#otherEdges++
      return null
    }
    return { origin, record: { ...record, offset: Number(digits), headers: without(record.headers, at) } }
  }
}

function hasGap({ offset, isCutShort }: Place): boolean {
  return offset > 0 || isCutShort
}

function without(headers: readonly RecordHeader[], at: number): readonly RecordHeader[] {
  if (at === headers.length - 1) return headers.slice(0, at)
  return headers.filter((_, i) => i !== at)
}

function* gapsOf(
  { topic, partition }: Place,
  reason: string,
  stream: string,
  partitions: readonly PartitionState[],
  isByKey: boolean,
): Generator<AuditItem> {
  const place = `${topic}/${partition}`
  for (const state of partitions) {
    if (state.stream !== stream) continue
    // By key any partition of the stream has records in any of the topic's, and the next one there ends nothing.
    if (isByKey) yield { kind: 'gap', place: '', stream, partition: state.partition, reason }
    else if (state.partition === partition) {
      yield { kind: 'gap', place, stream, partition, reason }
    }
  }
}

function retentionGap({ topic, partition, offset }: Place): string {
  return `the topic's retention removed what ${topic}/${partition} had below offset ${offset}`
}

function hiddenGap({ topic, partition, until }: Place): string {
  return `a transaction that stays open hides ${topic}/${partition} from offset ${until} on`
}
