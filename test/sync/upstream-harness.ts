/**
 * What an implementation of `Upstream` hands to the contract (upstream-contract.ts): a fresh place for each test, ways to open an upstream on it (also one
 * that is cut off after a number of outside steps), and a way to read it back; and rounds to try it with.
 */
import {
  type LogIdentity,
  type LogRecord,
  partitionKey,
  readRecords,
  type StoredBatch,
} from '../../broker/index.ts'
import type { Recovered, Round, RoundPart, Upstream } from '../../sync/upstream.ts'
import { MemoryLog, testIdentity } from './memory-log.ts'

export interface ReadBack {
  readonly stream: string
  readonly partition: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  /** Without what the upstream itself adds. */
  readonly headers: readonly (readonly [string, string | null])[]
}

/** One place for one test. */
export interface UpstreamPlace {
  open(): Upstream
  /**
   * As `open`, but the process "dies": after `steps` calls to the outside (a request, a write) since `arm`, none reaches it.
   * `died` says whether that happened.
   */
  openMortal(): { upstream: Upstream; arm(steps: number): void; died(): boolean }
  /** As `open`, but the place refuses one stream until it is allowed; see `refusesStreams`. */
  openRefusing?(stream: string): Promise<{ upstream: Upstream; allow(): Promise<void> }>
  /** What a reader sees, for each partition in order. */
  read(streams: ReadonlyMap<string, number>): Promise<ReadBack[]>
  dispose(): Promise<void>
}

export interface UpstreamHarness {
  readonly kind: string
  /** A round that was under way when the process died can come twice. */
  readonly mayRepeat?: boolean
  /** It takes some streams while it refuses others: its places have `openRefusing`. */
  readonly refusesStreams?: boolean
  /** After an error: all of the round or nothing (the default), or of each part its beginning. */
  readonly atomic?: 'round' | 'part'
  place(): Promise<UpstreamPlace>
}

export const STREAMS = new Map([
  ['events', 3],
  ['alarms', 1],
])

export function newLog(identity: LogIdentity = testIdentity()): MemoryLog {
  const log = new MemoryLog(identity)
  for (const [stream, partitions] of STREAMS) log.addStream(stream, partitions)
  return log
}

/** The round that takes upstream from `positions` to the end of the log, or to `bytesMax` from there. */
export function roundFrom(log: MemoryLog, positions: ReadonlyMap<string, number>, batchesMax = 1e9): Round {
  const byPartition = new Map<string, StoredBatch[]>()
  let taken = 0
  for (const batch of log.commits) {
    const key = partitionKey(batch.stream, batch.partition)
    if (batch.nextOffset <= (positions.get(key) ?? 0) || taken++ >= batchesMax) continue
    byPartition.set(key, [...(byPartition.get(key) ?? []), batch])
  }
  const parts: RoundPart[] = [...byPartition].map(([key, batches]) => ({
    stream: batches[0]!.stream,
    partition: batches[0]!.partition,
    fromOffset: positions.get(key) ?? 0,
    nextOffset: batches.at(-1)!.nextOffset,
    batches,
  }))
  return { parts }
}

export function nexts(recovered: Recovered): Map<string, number> {
  return new Map([...recovered.partitions].map(([key, { next }]) => [key, next ?? 0]))
}

/** The records of a log as a reader of upstream should see them. */
export function contents(log: MemoryLog, below?: ReadonlyMap<string, number>): ReadBack[] {
  const out: ReadBack[] = []
  const order = [...STREAMS.keys()]
  const partitions = log.partitions().sort((a, b) => order.indexOf(a.stream) - order.indexOf(b.stream))
  for (const { stream, partition } of partitions) {
    for (const batch of log.commits) {
      if (batch.stream !== stream || batch.partition !== partition) continue
      for (const record of readRecords(batch.bytes)) {
        if (record.offset >= (below?.get(partitionKey(stream, partition)) ?? Number.POSITIVE_INFINITY))
          continue
        out.push(readBackOf(stream, partition, record))
      }
    }
  }
  return out
}

export function readBackOf(stream: string, partition: number, record: LogRecord): ReadBack {
  return {
    stream,
    partition,
    key: record.key?.toString() ?? null,
    value: record.value?.toString() ?? null,
    timestamp: record.timestamp,
    headers: record.headers.map((h) => [h.key, h.value?.toString() ?? null] as const),
  }
}

/** Without what comes again; in the logs of this suite all values of a partition differ. */
export function first(records: readonly ReadBack[]): ReadBack[] {
  const seen = new Set<string>()
  return records.filter(({ stream, partition, value }) => {
    const name = JSON.stringify([stream, partition, value])
    return !seen.has(name) && seen.add(name)
  })
}

export async function caught(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => {
      throw new Error('an error was expected')
    },
    (error) => error,
  )
}

export function recover(upstream: Upstream, log: MemoryLog): Promise<Recovered> {
  return upstream.recover(log.identity, log.partitions())
}

/** @returns what gives a test a place of its own */
export function placesOf(harness: UpstreamHarness) {
  return (work: (place: UpstreamPlace) => Promise<void>) => async () => {
    const place = await harness.place()
    try {
      await work(place)
    } finally {
      await place.dispose()
    }
  }
}
