/**
 * The log: streams of partitions, kept in chains of segments. One writer per process; any number of readers. See DESIGN.md
 * beside this file.
 */
import { join } from 'node:path'
import type { ClockFacts, CommitClock } from '../clock/facts.ts'
import { LogUnavailableError, NotCompactedError, UnknownPartitionError } from '../errors.ts'
import type { LogSink } from '../log-sink.ts'
import type { DataDirectory } from '../storage/data-directory.ts'
import type { Disk } from '../storage/store.ts'
import { backup } from './backup/backup.ts'
import { type CatalogStream, mergeCatalog, type StreamDefinition, writeCatalog } from './catalog.ts'
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
import { chainsOf, knownCatalog, refuseLostCatalog } from './known-catalog.ts'
import { type LogStatus, logStatus } from './log-status.ts'
import { type LogStream, streamState } from './log-stream.ts'
import { newestTrustedTime } from './newest-time.ts'
import type { LogPartition } from './partition.ts'
import { NO_RECOVERY, type RecoveryCounters } from './recovery-counters.ts'
import { type RepairReport, repairChains } from './repair.ts'
import { segmentBytesOf } from './segment-size.ts'
import type {
  BatchMemory,
  LogCursor,
  LogIdentity,
  LogSource,
  PartitionState,
  StoredBatch,
  StreamState,
} from './source.ts'
import { DEFAULT_BUDGET, type DiskBudget } from './stream-policy.ts'
import { partitionsOf, StreamSet } from './stream-set.ts'
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

/** What can be other while the log is open. */
type Redefinition = Pick<EventLogOptions, 'streams' | 'budget' | 'dirtyShare'>

/** The states that each chain commits with its records; made once a chain. */
export type CommitStates = (chain: string) => CommitState[]

const DIRTY_SHARE = 0.5

type CatalogStates = Map<string, CatalogState>
type OpenChain = (
  name: string,
  as: { readonly options: EventLogOptions; readonly streams: readonly CatalogStream[] },
) => Promise<Chain>

interface OpenedChains {
  readonly chains: ReadonlyMap<string, Chain>
  readonly counters: RecoveryCounters
  readonly log: LogSink
  readonly states: CatalogStates
  readonly open: OpenChain
}

export class EventLog implements LogSource {
  readonly identity: LogIdentity
  readonly #chains = new Map<string, Chain>()
  /** The same, for those who go through all; the array stays the same object. */
  readonly #chainList: Chain[] = []
  readonly #streams = new StreamSet()
  readonly #states: CatalogStates
  #catalog: readonly CatalogStream[]
  #options: EventLogOptions
  readonly #recovery: RecoveryCounters
  readonly #clockFactsOf: EventLogOptions['clockFactsOf']
  readonly #durableListeners = new Set<() => void>()
  /** What upstreams have: sync tells it, retention goes no further. */
  readonly floors: UpstreamFloors
  readonly janitor: Janitor
  readonly #disk: Disk
  readonly #data: DataDirectory
  readonly #open: OpenChain
  /** One at a time: each begins with the catalog that the one before has written. */
  #redefining: Promise<void> = Promise.resolve()
  #isClosing = false

  private constructor(
    disk: Disk,
    data: DataDirectory,
    options: EventLogOptions,
    streams: readonly CatalogStream[],
    opened: OpenedChains,
  ) {
    const { edge, incarnation } = data.identity
    this.identity = { edge, incarnation }
    this.#disk = disk
    this.#data = data
    this.#recovery = opened.counters
    this.#clockFactsOf = options.clockFactsOf
    this.#states = opened.states
    this.#open = opened.open
    this.#options = options
    this.#catalog = streams
    for (const chain of opened.chains.values()) this.#listen(chain)
    this.#streams.update(streams, options.streams, this.#chains)
    this.floors = new UpstreamFloors(options.upstreams ?? [])
    const { budget = DEFAULT_BUDGET, dirtyShare = DIRTY_SHARE, segmentBytes, trustedNow = Date.now } = options
    this.janitor = new Janitor(
      disk,
      data.path,
      this.#chainList,
      this.#streams.all,
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
    const states: CatalogStates = new Map()
    const openChain: OpenChain = async (name, { options, streams }) => {
      const files = {
        disk,
        directory: join(data.path, 'log', name),
        dataDirectory: data.path,
        storeOptions: { writeBufferBytes: options.writeBufferBytes, createIfMissing: false },
        log,
        counters,
        damage,
      }
      const partitions = streams.filter((stream) => stream.chain === name).flatMap(partitionsOf)
      const limits = { ...options, segmentBytes: segmentBytesOf(name, streams, options) }
      const own = new CatalogState(streams)
      states.set(name, own)
      return Chain.open(name, files, limits, [own, ...statesOf(name)], partitions, options.trustedNow)
    }
    try {
      for (const name of chainsOf(merged.streams)) {
        chains.set(name, await openChain(name, { options, streams: merged.streams }))
      }
      if (catalog.length === 0) refuseLostCatalog(data.path, chains.values())
      if (merged.isChanged) await writeCatalog(disk, data.path, merged.streams)
      else await disk.syncDirectory(data.path)
    } catch (error) {
      await Promise.all([...chains.values()].map((chain) => chain.close()))
      throw error
    }
    const opened = { chains, counters, log, states, open: openChain }
    const eventLog = new EventLog(disk, data, options, merged.streams, opened)
    if (options.isReadOnly !== true) eventLog.janitor.start()
    return eventLog
  }

  #listen(chain: Chain): void {
    this.#chains.set(chain.name, chain)
    this.#chainList.push(chain)
    chain.onDurable = () => {
      this.janitor.committed()
      for (const listener of this.#durableListeners) listener()
    }
  }

  /**
   * Takes up other streams, policies and room while records come. New streams are on disk once it resolves; those that are not named any
   * more keep what they hold, as after a start.
   * @throws StreamDefinitionError, LogUnavailableError when it closes, and what the disk says: nothing has changed then
   */
  redefine(wanted: Redefinition): Promise<void> {
    const done = this.#redefining.then(() => this.#redefine(wanted))
    this.#redefining = done.catch(() => undefined)
    return done
  }

  async #redefine(wanted: Redefinition): Promise<void> {
    if (this.#isClosing) throw new LogUnavailableError('it is closed')
    const options = { ...this.#options, ...wanted }
    const { streams, isChanged } = mergeCatalog(this.#catalog, wanted.streams)
    const opened: Chain[] = []
    try {
      for (const name of chainsOf(streams)) {
        if (!this.#chains.has(name)) opened.push(await this.#open(name, { options, streams }))
      }
      if (isChanged) await writeCatalog(this.#disk, this.#data.path, streams)
    } catch (error) {
      // their partitions are those of streams that do not exist: the next try may give the same ids to others
      await Promise.all(opened.map((chain) => chain.close()))
      throw error
    }
    for (const chain of opened) {
      this.#listen(chain)
      chain.admission.hold(this.janitor.space.isFull)
    }
    this.#catalog = streams
    this.#options = options
    // the log itself knows a stream before its first record
    for (const state of this.#states.values()) state.update(streams)
    this.#streams.update(streams, wanted.streams, this.#chains)
    for (const chain of this.#chainList) chain.segmentBytes = segmentBytesOf(chain.name, streams, options)
    this.janitor.tune(options.budget ?? DEFAULT_BUDGET, options.dirtyShare ?? DIRTY_SHARE)
  }

  /** @throws UnknownStreamError */
  stream(name: string): LogStream {
    return this.#streams.get(name)
  }

  chains(): readonly Chain[] {
    return this.#chainList
  }

  streams(): StreamState[] {
    return this.#streams.all.map(streamState)
  }

  partitions(): PartitionState[] {
    return this.#streams.all.flatMap((stream) =>
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
    this.#isClosing = true
    await this.#redefining
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
