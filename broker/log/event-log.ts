/**
 * The log: streams of partitions, kept in chains of segments. One writer per process; any number of readers. See DESIGN.md
 * beside this file.
 */
import { join } from 'node:path'
import type { ClockFacts, CommitClock } from '../clock/facts.ts'
import { CorruptLogError, NotCompactedError, UnknownPartitionError, UnknownStreamError } from '../errors.ts'
import type { LogSink } from '../log-sink.ts'
import type { DataDirectory } from '../storage/data-directory.ts'
import { quarantine } from '../storage/quarantine.ts'
import type { Disk } from '../storage/store.ts'
import { backup } from './backup/backup.ts'
import {
  CATALOG_FILE,
  type CatalogStream,
  MAIN_CHAIN,
  mergeCatalog,
  readCatalog,
  type StreamDefinition,
  writeCatalog,
} from './catalog.ts'
import { CatalogState } from './catalog-state.ts'
import { Chain } from './chain.ts'
import { offsetForTime, readPartition } from './chain-reader.ts'
import { CommitCursor } from './commit-cursor.ts'
import type { CommitState } from './commit-state.ts'
import type { CompactionProgress, CompactionReport } from './compactor.ts'
import { DamageLog } from './damage-log.ts'
import { type Dumped, type DumpQuery, dumpChains } from './dump.ts'
import type { Pace } from './gathering.ts'
import { Janitor } from './janitor.ts'
import { type LogStatus, logStatus } from './log-status.ts'
import { type LogStream, streamState } from './log-stream.ts'
import { newestTrustedTime } from './newest-time.ts'
import { LogPartition } from './partition.ts'
import { NO_RECOVERY, type RecoveryCounters } from './recovery-counters.ts'
import { type RepairReport, repairChains } from './repair.ts'
import { segmentBytesOf } from './segment-size.ts'
import { recoverCatalog } from './segment-survey.ts'
import type {
  BatchMemory,
  LogCursor,
  LogIdentity,
  LogSource,
  PartitionState,
  StoredBatch,
  StreamState,
} from './source.ts'
import { DEFAULT_BUDGET, DEFAULT_POLICY, type DiskBudget } from './stream-policy.ts'
import { UpstreamFloors } from './upstream-floors.ts'
import { type VerifyProgress, type VerifyReport, verifyChains } from './verify.ts'

export interface EventLogOptions {
  readonly streams: readonly StreamDefinition[]
  readonly segmentBytes: number
  readonly admittedBytesMax: number
  /** LevelDB's write buffer: two of them are the log's largest memory. */
  readonly writeBufferBytes: number
  readonly budget?: DiskBudget
  /** A stream is compacted once this share of its bytes came since the last time. */
  readonly dirtyShare?: number
  /** Names of the upstreams whose positions retention waits for (`UpstreamFloors`). */
  readonly upstreams?: readonly string[]
  /** ms since 1970, or null while the clock is not to be trusted. */
  readonly trustedNow?: () => number | null
  /** Keeps bytes aside for a start on a full disk (ballast.ts). */
  readonly hasBallast?: boolean
  /** What is known of the clock that stamped a chain's records; without it all times are trusted. */
  readonly clockFactsOf?: (chain: string) => ClockFacts
  /** The log is only read: nothing is tidied. */
  readonly isReadOnly?: boolean
  /** Time, for the chains' writers. */
  readonly pace?: Pace
}

/** The states that each chain commits with its records; made once a chain. */
export type CommitStates = (chain: string) => CommitState[]

export class EventLog implements LogSource {
  readonly identity: LogIdentity
  readonly #chains: Map<string, Chain>
  readonly #streams = new Map<string, LogStream>()
  readonly #recovery: RecoveryCounters
  readonly #clockFactsOf: EventLogOptions['clockFactsOf']
  readonly #durableListeners = new Set<() => void>()
  /** What upstreams have: sync tells it, retention goes no further. */
  readonly floors: UpstreamFloors
  readonly janitor: Janitor
  readonly #disk: Disk
  readonly #data: DataDirectory

  private constructor(
    disk: Disk,
    data: DataDirectory,
    options: EventLogOptions,
    streams: readonly CatalogStream[],
    opened: { chains: Map<string, Chain>; counters: RecoveryCounters; log: LogSink },
  ) {
    const { edge, incarnation } = data.identity
    this.identity = { edge, incarnation }
    this.#disk = disk
    this.#data = data
    this.#chains = opened.chains
    this.#recovery = opened.counters
    this.#clockFactsOf = options.clockFactsOf
    this.#index(streams, options.streams)
    this.floors = new UpstreamFloors(options.upstreams ?? [])
    const { budget = DEFAULT_BUDGET, dirtyShare = 0.5, segmentBytes, trustedNow = Date.now } = options
    this.janitor = new Janitor(
      disk,
      data.path,
      this.chains(),
      [...this.#streams.values()],
      this.floors,
      {
        budget,
        dirtyShare,
        segmentBytes,
        trustedNow,
        hasBallast: options.hasBallast ?? false,
        boundariesOf: (chain) => options.clockFactsOf?.(chain).boundaries() ?? [],
      },
      opened.log,
    )
  }

  /** Opens the log of a data directory; streams that are new are added to its catalog. */
  static async open(
    disk: Disk,
    data: DataDirectory,
    options: EventLogOptions,
    log: LogSink,
    statesOf: CommitStates = () => [],
  ): Promise<EventLog> {
    const counters: RecoveryCounters = { ...NO_RECOVERY }
    const catalog = await knownCatalog(disk, data.path, counters, log)
    const merged = mergeCatalog(catalog, options.streams)
    const damage = new DamageLog(log, counters)
    const chains = new Map<string, Chain>()
    try {
      for (const name of new Set([MAIN_CHAIN, ...merged.streams.map((stream) => stream.chain)])) {
        const files = {
          disk,
          directory: join(data.path, 'log', name),
          dataDirectory: data.path,
          storeOptions: { writeBufferBytes: options.writeBufferBytes, createIfMissing: false },
          log,
          counters,
          damage,
        }
        const partitions = merged.streams.filter((stream) => stream.chain === name).flatMap(partitionsOf)
        const limits = { ...options, segmentBytes: segmentBytesOf(name, merged.streams, options) }
        const { trustedNow } = options
        const states = [new CatalogState(merged.streams), ...statesOf(name)]
        chains.set(name, await Chain.open(name, files, limits, states, partitions, trustedNow))
      }
      if (catalog.length === 0) refuseLostCatalog(data.path, chains.values())
      if (merged.isChanged) await writeCatalog(disk, data.path, merged.streams)
      else await disk.syncDirectory(data.path)
    } catch (error) {
      await Promise.all([...chains.values()].map((chain) => chain.close()))
      throw error
    }
    const eventLog = new EventLog(disk, data, options, merged.streams, { chains, counters, log })
    if (options.isReadOnly !== true) eventLog.janitor.start()
    return eventLog
  }

  #index(streams: readonly CatalogStream[], definitions: readonly StreamDefinition[]): void {
    for (const { name, chain: chainName, firstId, partitions } of streams) {
      const chain = this.#chains.get(chainName)!
      const own = Array.from({ length: partitions }, (_, i) => chain.partitions.get(firstId + i)!)
      // a stream that the configuration does not name any more keeps what it has
      const policy = definitions.find((stream) => stream.name === name)?.policy ?? DEFAULT_POLICY
      this.#streams.set(name, { name, policy, chain, partitions: own })
    }
    for (const chain of this.#chains.values()) {
      chain.onDurable = () => {
        this.janitor.committed()
        for (const listener of this.#durableListeners) listener()
      }
    }
  }

  /** @throws UnknownStreamError */
  stream(name: string): LogStream {
    const stream = this.#streams.get(name)
    if (stream === undefined) throw new UnknownStreamError(name, [...this.#streams.keys()])
    return stream
  }

  chains(): readonly Chain[] {
    return [...this.#chains.values()]
  }

  streams(): StreamState[] {
    return [...this.#streams.values()].map(streamState)
  }

  partitions(): PartitionState[] {
    return [...this.#streams.values()].flatMap((stream) =>
      stream.partitions.map(({ partition, logStartOffset, durableOffset }) => ({
        stream: stream.name,
        partition,
        logStartOffset,
        durableOffset,
      })),
    )
  }

  /** @throws UnknownStreamError, UnknownPartitionError, LogUnavailableError */
  async read(stream: string, partition: number, offset: number, bytesMax: number): Promise<StoredBatch[]> {
    const found = this.#partition(stream, partition)
    return readPartition(found.chain, found.partition, offset, bytesMax)
  }

  /** Offsets of a stream that damage has taken, in the order in which they were found. @throws UnknownStreamError */
  holes(stream: string): { partition: number; from: number; to: number }[] {
    const { chain, partitions } = this.stream(stream)
    return (chain.row.facts.holes ?? []).flatMap(({ id, from, to }) => {
      const partition = partitions.findIndex((own) => own.id === id)
      return partition < 0 ? [] : { partition, from, to }
    })
  }

  /** What is to be known of the clock that stamped a stored batch; null where it was trusted. */
  clockOf({ stream, commit }: Pick<StoredBatch, 'stream' | 'commit'>): CommitClock | null {
    if (this.#clockFactsOf === undefined || commit === undefined) return null
    return this.#clockFactsOf(this.stream(stream).chain.name).of(commit)
  }

  /** The newest time that a trusted clock gave to a record, as far as is known at once, ms since 1970; 0 where none did. */
  async newestTrustedTime(): Promise<number> {
    let newest = 0
    for (const chain of this.#chains.values()) {
      newest = Math.max(newest, await newestTrustedTime(chain, this.#clockFactsOf?.(chain.name)))
    }
    return newest
  }

  /** The first offset at or after a time (ms since 1970, as stored); the durable offset when there is none. */
  async offsetForTime(stream: string, partition: number, timestamp: number): Promise<number> {
    const found = this.#partition(stream, partition)
    return offsetForTime(found.chain, found.partition, timestamp)
  }

  /** Offsets of a partition that are known to be lost, in order. */
  lostOffsets(stream: string, partition: number): { from: number; to: number; reason: string }[] {
    const found = this.#partition(stream, partition)
    const holes = (found.chain.row.facts.holes ?? []).filter(({ id }) => id === found.partition.id)
    return holes.map(({ from, to, reason }) => ({ from, to, reason })).toSorted((a, b) => a.from - b.from)
  }

  /**
   * Compaction has removed older values of keys below this offset of a partition, and tombstones may follow them: who has read a
   * value before and comes to its tombstone's place afterwards finds neither.
   */
  cleanedOffset(stream: string, partition: number): number {
    const found = this.#partition(stream, partition)
    const commit = found.chain.row.facts.cleaned?.[stream]?.at(-1)?.[0] ?? 0
    if (commit === 0) return 0
    return found.partition.spans.findLast(({ segment }) => segment.firstCommit <= commit)?.nextOffset ?? 0
  }

  openCursor(from: ReadonlyMap<string, number>, memory?: BatchMemory): LogCursor {
    return new CommitCursor(this.#chains.values(), from, memory)
  }

  onDurable(listener: () => void): () => void {
    this.#durableListeners.add(listener)
    return () => this.#durableListeners.delete(listener)
  }

  /**
   * Compacts now.
   * @param stream one of those whose cleanup is compact, or null for all of them
   * @throws UnknownStreamError, NotCompactedError
   */
  async compact(
    stream: string | null,
    onProgress?: (progress: CompactionProgress) => void,
  ): Promise<CompactionReport[]> {
    if (stream !== null && !this.stream(stream).policy.compacts) throw new NotCompactedError(stream)
    return this.janitor.compact(stream, true, onProgress)
  }

  verify(onProgress: (progress: VerifyProgress) => void = () => {}): Promise<VerifyReport> {
    return verifyChains([...this.#chains.values()], onProgress)
  }

  /** Writes anew what `verify` finds damaged, without it. */
  repair(onProgress: (progress: VerifyProgress) => void = () => {}): Promise<RepairReport> {
    return repairChains([...this.#chains.values()], onProgress)
  }

  /**
   * The bytes of a backup of all that is durable now (backup/format.ts); each piece is valid until the next is asked for.
   * @throws LogUnavailableError
   */
  backup(): AsyncIterable<Buffer> {
    const { path: directory, identity, facts } = this.#data
    return backup({ disk: this.#disk, directory, identity, facts, chains: this.chains(), now: Date.now })
  }

  /** What lies in the log, as it lies there. @throws UnknownStreamError, UnknownPartitionError */
  dump(query: DumpQuery): AsyncIterable<Dumped> {
    if (query.stream !== null) this.#partition(query.stream, query.partition ?? 0)
    return dumpChains(this.chains(), query)
  }

  status(): LogStatus {
    return logStatus([...this.#chains.values()], this.#recovery, this.janitor)
  }

  /** Commits what is open, then closes all stores. */
  async close(): Promise<void> {
    await this.janitor.close()
    await Promise.all([...this.#chains.values()].map((chain) => chain.close()))
  }

  #partition(stream: string, partition: number): { chain: Chain; partition: LogPartition } {
    const found = this.stream(stream)
    const own = found.partitions[partition]
    if (own === undefined) throw new UnknownPartitionError(stream, partition, found.partitions.length)
    return { chain: found.chain, partition: own }
  }
}

/** From its file, or, where that is lost, from what the log's segments know. */
async function knownCatalog(
  disk: Disk,
  directory: string,
  counters: RecoveryCounters,
  log: LogSink,
): Promise<readonly CatalogStream[]> {
  let fault: unknown = null
  const catalog = await readCatalog(disk, directory).catch((error) => {
    fault = error
    return []
  })
  if (catalog.length > 0) return catalog
  const recovered = await recoverCatalog(disk, directory)
  if (recovered === null) {
    if (fault !== null) throw fault
    return []
  }
  const path = join(directory, CATALOG_FILE)
  if (fault !== null)
    await quarantine(disk, path, join(directory, 'quarantine'), { what: String(fault) }, log)
  await writeCatalog(disk, directory, recovered)
  counters.rebuiltManifests++
  log.error('the catalog of streams was lost; it was made again from the log', { streams: recovered.length })
  return recovered
}

/** Without the catalog nobody knows which stream a record is of; new streams would get their ids. */
function refuseLostCatalog(directory: string, chains: Iterable<Chain>): void {
  for (const chain of chains) {
    if ([...chain.partitions.values()].every(({ durableOffset }) => durableOffset === 0)) continue
    const reason = 'it is missing beside a log that holds records; restore it from a backup'
    throw new CorruptLogError(join(directory, CATALOG_FILE), reason)
  }
}

function partitionsOf(stream: CatalogStream): LogPartition[] {
  return Array.from(
    { length: stream.partitions },
    (_, i) => new LogPartition(stream.name, i, stream.firstId + i),
  )
}
