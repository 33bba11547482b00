/**
 * The row of a chain's segments: what the manifest lists, in commit order, the last one active. It is changed by a roll (the
 * writer's) and by a rearrangement (the janitor's: segments dropped, or replaced by one with what is left of them), each made
 * durable by one replacement of the manifest, one at a time.
 *
 * A crash before the manifest leaves directories that it does not list: the next start removes them. One after it leaves the
 * old ones: the same. When the replacement itself fails, the old manifest or the new one stands, and only reading it again can
 * tell: `UncertainManifestError`.
 */
import type { Store } from '../storage/store.ts'
import {
  countTornTail,
  loadSealed,
  openActiveStore,
  openManifest,
  partitionOf,
  placeLogStart,
  writeHead,
} from './chain-recovery.ts'
import type { CommitState } from './commit-state.ts'
import { DamagedSegmentError } from './damaged-segment.ts'
import { gapsBesideSalvaged } from './holes.ts'
import { type ChainFacts, type Hole, type Manifest, nextSegmentId, writeManifest } from './manifest.ts'
import type { Head } from './note.ts'
import type { LogPartition } from './partition.ts'
import { factsAfter, listed, type Rearrangement } from './rearrangement.ts'
import {
  indexFile,
  newSegment,
  type OpenSegment,
  type Segment,
  SegmentCache,
  segmentDirectory,
} from './segment.ts'
import { SegmentIndex } from './segment-index.ts'
import { SegmentRepair } from './segment-repair.ts'
import type { SalvagedSegment } from './segment-salvage.ts'
import { type ChainFiles, createSegmentStore } from './segment-store.ts'

/** The manifest on disk is the old one or the new one. */
export class UncertainManifestError extends Error {}

export class SegmentRow {
  readonly files: ChainFiles
  readonly cache: SegmentCache
  readonly partitions: Map<number, LogPartition>
  /** In commit order; the last is active. The array stays the same object. */
  readonly segments: Segment[] = []
  /** What the manifest says beside the segments. */
  facts: ChainFacts = {}
  open!: OpenSegment
  readonly #states: readonly CommitState[]
  /** Now by a trusted clock, ms since 1970, or null. */
  readonly #trustedNow: () => number | null
  #busy: Promise<unknown> = Promise.resolve()
  readonly #repair: SegmentRepair
  /** Where the partitions stood when the active segment began; null where that is lost. */
  #begins: ReadonlyMap<number, number> | null = null
  /** Sealed segments that were found fit to be opened. */
  readonly #checked = new Set<string>()
  /** The highest id given out by this process: a directory that readers still use gets no successor of the same name. */
  #lastId = '00000000'

  constructor(
    files: ChainFiles,
    partitions: Map<number, LogPartition>,
    states: readonly CommitState[],
    trustedNow: () => number | null,
  ) {
    this.files = files
    this.partitions = partitions
    this.#states = states
    this.#trustedNow = trustedNow
    const check = (segment: Segment) => this.#check(segment)
    this.#repair = new SegmentRepair(files, partitions)
    this.cache = new SegmentCache(files.disk, files.directory, files.storeOptions, check)
  }

  get active(): Segment {
    return this.segments[this.segments.length - 1]!
  }

  /** Sealed segments in commit order. */
  get sealed(): readonly Segment[] {
    return this.segments.slice(0, -1)
  }

  newId(): string {
    this.#lastId = nextSegmentId([this.#lastId, ...this.segments.map(({ id }) => id)])
    return this.#lastId
  }

  /**
   * Reads the manifest and everything it lists: at start, and again after a failure.
   * @param isQuiet the disk has failed before: what is found is not told again
   */
  async load(isQuiet = false): Promise<void> {
    await this.#alone(async () => {
      const { files } = this
      const { segments, format: _, ...facts } = await openManifest(files)
      this.facts = facts
      for (const { id } of segments) if (id > this.#lastId) this.#lastId = id
      const row = segments.map((listed) =>
        Object.assign(newSegment(listed.id, listed.firstCommit), {
          lastCommit: listed.lastCommit ?? listed.firstCommit - 1,
          bytes: listed.bytes ?? 0,
          isSealed: listed.lastCommit !== undefined,
          sealedAt: listed.sealedAt ?? null,
          isRewritten: listed.isRewritten ?? false,
          isSalvaged: listed.isSalvaged ?? false,
        }),
      )
      await this.#loadSealed(row)
      this.segments.splice(0, this.segments.length, ...row)
      this.#placeSpans()
      await this.#openActive(isQuiet)
    })
  }

  /** Each time a segment turns out to be damaged it is replaced, and all are read again. */
  async #loadSealed(row: Segment[]): Promise<void> {
    for (;;) {
      try {
        await loadSealed(this.files, row.slice(0, -1), this.partitions, (segment) => this.#check(segment))
        return
      } catch (error) {
        if (!(error instanceof DamagedSegmentError)) throw error
        await this.#replaceDamaged(row, error)
      }
    }
  }

  async #openActive(isQuiet: boolean): Promise<void> {
    const { files } = this
    const damage = await this.#repair.judge(this.active)
    const salvaged = damage === null ? null : await this.#repair.salvage(damage, this.newId())
    if (salvaged !== null) this.segments[this.segments.length - 1] = salvaged.segment
    const { active } = this
    if (salvaged === null) await countTornTail(files, active.id, isQuiet)
    const { store, index, begins } = await openActiveStore(files, active, this.partitions, this.#states)
    try {
      this.open = { store, index }
      this.#begins = begins
      this.#placeStarts()
      if (active.lastCommit < active.firstCommit) await this.#writeHead(store, active)
      else if (begins === null) await this.#restoreHead(store, active, index)
    } catch (error) {
      await store.close()
      throw error
    }
    this.cache.pin(active, this.open)
    if (salvaged !== null) await this.#sealSalvaged(damage!, salvaged)
    await this.#nameGaps()
  }

  /** The head is lost: what the segments before it say stands in its place. */
  async #restoreHead(store: Store, segment: Segment, index: SegmentIndex): Promise<void> {
    const next = [...this.partitions.values()]
      .map(({ id, durableOffset }) => [id, index.partitions.get(id)?.firstOffset ?? durableOffset] as const)
      .filter(([, offset]) => offset > 0)
    await writeHead(store, segment.firstCommit, { next, states: {} })
  }

  async #writeHead(store: Store, segment: Segment): Promise<void> {
    await writeHead(store, segment.firstCommit, this.head())
    segment.lastCommit = segment.firstCommit
  }

  /** What a segment that begins now has to know. Only between two commits is it what is on disk. */
  head(): Head {
    const next: [number, number][] = []
    for (const partition of this.partitions.values()) {
      if (partition.durableOffset > 0) next.push([partition.id, partition.durableOffset])
    }
    const states: Record<string, unknown> = {}
    const { firstCommit } = this.segments[0]!
    for (const state of this.#states) states[state.name] = state.snapshot(firstCommit)
    return { next, states }
  }

  /**
   * Seals the active segment and starts the next: index beside the old one, head in the new one, then the manifest.
   * @throws UncertainManifestError; any other error means that nothing has changed.
   */
  roll(): Promise<void> {
    return this.#alone(() => this.#roll())
  }

  async #roll(): Promise<void> {
    const { files, active: old } = this
    const next = newSegment(this.newId(), old.lastCommit + 1)
    let store: Store | undefined
    try {
      await files.disk.replaceFile(indexFile(files.directory, old.id), this.open.index.encode())
      store = await createSegmentStore(files, next.id)
      await this.#writeHead(store, next)
    } catch (error) {
      await store?.close().catch(() => undefined)
      await files.disk.remove(segmentDirectory(files.directory, next.id)).catch(() => undefined)
      throw error
    }
    const sealed = { ...old, isSealed: true, sealedAt: this.#trustedNow() }
    try {
      await this.#write([...this.sealed, sealed, next], this.facts)
    } catch (error) {
      await store.close().catch(() => undefined)
      throw error
    }
    old.isSealed = true
    old.sealedAt = sealed.sealedAt
    old.summaries = this.open.index.summaries()
    this.open = { store, index: new SegmentIndex(next.firstCommit) }
    this.segments.push(next)
    this.#placeSpans()
    this.cache.pin(next, this.open)
    this.cache.unpin(old)
  }

  /**
   * Carries out a plan. What goes is removed from the disk once its last reader is done.
   * @returns false when the row is no longer the one that the plan was made for: nothing has changed.
   * @throws UncertainManifestError
   */
  rearrange(plan: Rearrangement): Promise<boolean> {
    return this.#alone(async () => {
      const at = this.#placeOf(plan)
      if (at === null) return false
      const gone = new Set(plan.remove)
      const segments = this.segments.filter((segment) => !gone.has(segment))
      if (plan.insert !== undefined) segments.splice(at, 0, plan.insert)
      const facts = factsAfter(this.facts, plan, this.partitions.values())
      await this.#write(segments, facts)
      this.facts = facts
      this.segments.splice(0, this.segments.length, ...segments)
      this.#placeSpans()
      this.#placeStarts()
      for (const segment of plan.remove) void this.#discard(segment)
      return true
    })
  }

  /** A trusted clock says the time: segments sealed without one count from now. @returns whether the manifest changed */
  async dateSealed(now: number): Promise<boolean> {
    const undated = this.sealed.filter((segment) => segment.sealedAt === null)
    const { cleaned } = this.facts
    const isCleanUndated = Object.values(cleaned ?? {}).some((steps) => steps.some(([, at]) => at === null))
    if (undated.length === 0 && !isCleanUndated) return false
    for (const segment of undated) segment.sealedAt = now
    const dated = Object.entries(cleaned ?? {}).map(
      ([stream, steps]) => [stream, steps.map(([commit, at]) => [commit, at ?? now] as const)] as const,
    )
    return this.rearrange({ remove: [], ...(isCleanUndated ? { cleaned: Object.fromEntries(dated) } : {}) })
  }

  /**
   * A reader found a sealed segment that cannot be opened: what can be read of it takes its place.
   * @throws UncertainManifestError; any other error, as on a full disk, means that nothing has changed.
   */
  repair(error: DamagedSegmentError): Promise<void> {
    return this.#alone(async () => {
      if (!this.segments.includes(error.segment)) return
      const segments = [...this.segments]
      await this.#replaceDamaged(segments, error)
      this.segments.splice(0, this.segments.length, ...segments)
      this.#placeSpans()
      await this.#nameGaps()
    })
  }

  /** Closes all stores; a change under way ends first. */
  async close(): Promise<void> {
    await this.#busy.catch(() => undefined)
    await this.cache.close()
  }

  // -- damage -------------------------------------------------------------------------------------------------------

  /** @throws DamagedSegmentError for a sealed segment that is not to be opened; each is looked at once. */
  async #check(segment: Segment): Promise<void> {
    if (this.#checked.has(segment.id)) return
    const damage = await this.#repair.judge(segment)
    if (damage !== null) throw damage
    this.#checked.add(segment.id)
  }

  async #replaceDamaged(segments: Segment[], error: DamagedSegmentError): Promise<void> {
    const { segment } = error
    const salvaged = await this.#repair.salvage(error, this.newId())
    segments.splice(segments.indexOf(segment), 1, salvaged.segment)
    const facts = this.#withHoles(salvaged.holes)
    await this.#write(segments, facts)
    this.facts = facts
    await this.#putAway(error, salvaged)
  }

  /** What was saved of the active segment is sealed, and the offsets that its lost end may have had are passed over. */
  async #sealSalvaged(error: DamagedSegmentError, salvaged: SalvagedSegment): Promise<void> {
    const { lostAtEnd, holes } = salvaged
    const at = Date.now()
    const reason = `the end of segment ${error.segment.id} was damaged`
    // also of a partition of which nothing is left: all that it had may have been there
    const partitions = lostAtEnd > 0 ? [...this.partitions.values()] : []
    const skipped = partitions.map(({ id, durableOffset }) => ({
      id,
      from: durableOffset,
      to: durableOffset + lostAtEnd,
      reason,
      at,
    }))
    for (const partition of partitions) partition.durableOffset += lostAtEnd
    this.facts = this.#withHoles([...holes, ...skipped])
    await this.#roll()
    await this.#putAway(error, { ...salvaged, holes: [...holes, ...skipped] })
  }

  async #putAway(error: DamagedSegmentError, salvaged: SalvagedSegment): Promise<void> {
    await this.cache.retire(error.segment)
    try {
      await this.#repair.putAway(error, salvaged)
    } catch (failure) {
      // its successor stands in the manifest: the log goes on without it, and the next start removes it
      this.files.log.warn('a damaged segment could not be moved to quarantine', {
        segment: error.segment.id,
        reason: (failure as Error).message,
      })
    }
  }

  /** Gaps beside what was salvaged are lost offsets, too. */
  async #nameGaps(): Promise<void> {
    const active = { segment: this.active, index: this.open.index }
    const gaps = gapsBesideSalvaged(this.partitions.values(), active, this.facts.holes ?? [], Date.now())
    if (gaps.length === 0) return
    const facts = this.#withHoles(gaps)
    await this.#write(this.segments, facts)
    this.facts = facts
    this.#repair.tell(gaps)
  }

  #withHoles(holes: readonly Hole[]): ChainFacts {
    return holes.length === 0 ? this.facts : { ...this.facts, holes: [...(this.facts.holes ?? []), ...holes] }
  }

  // -- changing -----------------------------------------------------------------------------------------------------

  /** Where the inserted segment goes; null when a segment of the plan is not, or no longer, a sealed one of the row. */
  #placeOf({ remove }: Rearrangement): number | null {
    const places = remove.map((segment) => this.segments.indexOf(segment))
    const isStale = places.some((place) => place < 0 || place === this.segments.length - 1)
    return isStale ? null : Math.min(...places, this.segments.length - 1)
  }

  async #write(segments: readonly Segment[], facts: ChainFacts): Promise<void> {
    const manifest: Manifest = { format: 1, segments: segments.map(listed), ...facts }
    try {
      await writeManifest(this.files.disk, this.files.directory, manifest)
    } catch (error) {
      throw new UncertainManifestError((error as Error).message, { cause: error })
    }
  }

  async #discard(segment: Segment): Promise<void> {
    const { disk, directory, log } = this.files
    try {
      await this.cache.retire(segment)
      await disk.remove(segmentDirectory(directory, segment.id))
      await disk.remove(indexFile(directory, segment.id))
    } catch (error) {
      // the next start removes what the manifest does not list
      log.warn('a segment that is no longer used could not be removed', {
        segment: segment.id,
        reason: (error as Error).message,
      })
    }
  }

  #placeSpans(): void {
    for (const partition of this.partitions.values()) partition.spans = []
    for (const segment of this.sealed) {
      for (const summary of segment.summaries) {
        partitionOf(this.partitions, summary.id).spans.push({ segment, ...summary })
      }
    }
  }

  #placeStarts(): void {
    const active = { index: this.open.index, begins: this.#begins }
    placeLogStart(this.partitions.values(), active, new Map(this.facts.starts))
  }

  /** One change at a time: each is made from the row that the last one left. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(change, change)
    this.#busy = result.catch(() => undefined)
    return result
  }
}
