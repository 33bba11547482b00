/**
 * One round of compaction of a chain, in bounded steps beside readers and the writer:
 *
 *   1  read what is dirty, oldest first: the newest offset of each key, in a map of bounded memory. Where it is full the round ends.
 *   2  read all up to there: how much of each segment stays
 *   3  write each run of segments anew that holds something dead, and swap it in (segment-rewriter.ts, segment-row.ts)
 *   4  write down how far the streams are clean now
 *
 * A crash leaves what the steps before it made: old values of keys may still be there, the newest never goes. Only after step 4
 * do tombstones of this round begin to wait for their delay, because only then nothing is left that they would have to hide.
 */
import { NoRoomError } from '../errors.ts'
import type { EntryVisitor } from '../storage/entry-scan.ts'
import type { Chain } from './chain.ts'
import { commitOf, idOf, NOTE_ID } from './commit-key.ts'
import { KeyMap } from './compaction/key-map.ts'
import { RecordScan, storedFault } from './compaction/key-scan.ts'
import { type StreamRound, stepsAfter } from './compaction-plan.ts'
import { BATCH_HEADER_BYTES } from './record-batch.ts'
import { batchBytesOf, planRemovals } from './retention-plan.ts'
import type { Segment } from './segment.ts'
import { giveWay, type Keep, liveBytesMax, rewriteSegments } from './segment-rewriter.ts'
import { scanSegment } from './segment-scan.ts'

export interface CompactionOptions {
  readonly segmentBytes: number
  /** ms since 1970, or null while the clock is not to be trusted. */
  readonly now: number | null
  readonly keyMapBytes?: number
  spanMsOf(segment: Segment): number
  /** Commits before which batches are not put together (a clock that changed), rising. */
  readonly boundaries: readonly number[]
  isClosing(): boolean
  /** Bytes that can be written now to make room. */
  writableBytes(): Promise<number>
  onProgress?(progress: CompactionProgress): void
}

export interface CompactionProgress {
  readonly bytesDone: number
  readonly bytesTotal: number
}

export interface CompactionReport {
  readonly streams: readonly string[]
  /** Segments written anew or removed. */
  readonly segments: number
  /** Bytes of stored batches in the segments that were looked at, before and after. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Bytes of stored batches written for it. */
  readonly bytesWritten: number
  readonly recordsRemoved: number
  readonly tombstonesRemoved: number
  /** False when a part was left for the next round: too many keys at once, or the log changed meanwhile. */
  readonly isComplete: boolean
}

const STEP_BYTES = 128 * 1024
/** Room for 490,000 keys; with more a round takes a shorter stretch. */
const KEY_MAP_BYTES = 16 * 1024 * 1024

/** A stream's round as the record at hand needs it. */
interface Lane {
  readonly floor: number
  readonly cleanTo: number
  readonly tombstonesTo: number
  toCommit: number
}

interface Tally {
  records: number
  tombstones: number
}

/** @throws NoRoomError where a segment written anew would fill the disk; what was done by then stays */
export async function compactChain(
  chain: Chain,
  rounds: readonly StreamRound[],
  options: CompactionOptions,
): Promise<CompactionReport | null> {
  return new Compaction(chain, rounds, options).run()
}

class Compaction {
  readonly #chain: Chain
  readonly #rounds: readonly StreamRound[]
  readonly #options: CompactionOptions
  readonly #lanes = new Map<number, Lane>()
  readonly #map: KeyMap
  readonly #scan = new RecordScan()
  #isComplete = true
  #bytesDone = 0
  #bytesTotal = 1

  constructor(chain: Chain, rounds: readonly StreamRound[], options: CompactionOptions) {
    this.#chain = chain
    this.#rounds = rounds
    this.#options = options
    this.#map = new KeyMap(options.keyMapBytes ?? KEY_MAP_BYTES)
    for (const { stream, cleanTo, toCommit, tombstonesTo } of rounds) {
      for (const { id, floor } of stream.partitions) {
        this.#lanes.set(id, { floor, cleanTo, toCommit, tombstonesTo })
      }
    }
  }

  /** @returns null when it was ended early; what was done by then stays. */
  async run(): Promise<CompactionReport | null> {
    const toCommit = Math.max(...this.#rounds.map((round) => round.toCommit))
    const sealed = this.#chain.row.sealed.filter(({ firstCommit }) => firstCommit <= toCommit)
    const cleanTo = Math.min(...this.#rounds.map((round) => round.cleanTo))
    const dirty = sealed.filter(({ lastCommit }) => lastCommit > cleanTo)
    this.#bytesTotal = sum(dirty) + 2 * sum(sealed)
    for (const segment of dirty) {
      if (!(await this.#read(segment, (key, value) => this.#note(key, value)))) return null
      if (!this.#isComplete) break
    }
    const live = new Map<Segment, number>()
    for (const segment of sealed) {
      let bytes = 0
      const isRead = await this.#read(segment, (key, value) => {
        bytes += this.#liveBytes(key, value)
      })
      if (!isRead) return null
      live.set(segment, bytes)
    }
    return this.#rewrite(sealed, live)
  }

  /** @returns false when it is to end early */
  async #read(segment: Segment, visit: EntryVisitor): Promise<boolean> {
    const chain = this.#chain
    const isRead = await scanSegment(chain, segment, async (scan) => {
      for (;;) {
        if (this.#options.isClosing() || !chain.segments.includes(segment)) return false
        const commits = chain.stats.commits
        const started = performance.now()
        const bytes = await scan.next(STEP_BYTES, visit)
        if (bytes === 0) return true
        this.#progress(bytes)
        await giveWay(performance.now() - started, chain.stats.commits !== commits)
      }
    })
    return isRead === true
  }

  #progress(bytes: number): void {
    this.#bytesDone = Math.min(this.#bytesDone + bytes, this.#bytesTotal)
    this.#options.onProgress?.({ bytesDone: this.#bytesDone, bytesTotal: this.#bytesTotal })
  }

  #note(key: Buffer, value: Buffer): void {
    const id = idOf(key)
    const commit = commitOf(key)
    const lane = this.#lanes.get(id)
    if (!this.#isComplete || lane === undefined || id === NOTE_ID) return
    if (commit <= lane.cleanTo || commit > lane.toCommit || storedFault(value) !== null) return
    const scan = this.#scan
    scan.open(value)
    while (scan.next()) {
      if (scan.keyBytes < 0 || this.#map.put(id, value, scan.keyAt, scan.keyBytes, scan.offset)) continue
      // all commits before this one are in the map: the round ends there
      for (const each of this.#lanes.values()) each.toCommit = Math.min(each.toCommit, commit - 1)
      this.#isComplete = false
      return
    }
  }

  #liveBytes(key: Buffer, value: Buffer): number {
    const id = idOf(key)
    if (id === NOTE_ID) return 0
    // what is damaged stays where it is
    if (!this.#chain.partitions.has(id) || storedFault(value) !== null) return value.length
    const commit = commitOf(key)
    let bytes = 0
    const scan = this.#scan
    scan.open(value)
    while (scan.next()) if (this.#keep(id, scan, value, commit)) bytes += scan.end - scan.start
    return bytes === 0 ? 0 : BATCH_HEADER_BYTES + bytes
  }

  readonly #keep: Keep = (id, record, batch, commit) => {
    const { offset, keyAt, keyBytes, isTombstone } = record
    if (offset < (this.#chain.partitions.get(id)?.logStartOffset ?? 0)) return false
    const lane = this.#lanes.get(id)
    if (lane === undefined || keyBytes < 0 || offset >= lane.floor || commit > lane.toCommit) return true
    if (this.#map.get(id, batch, keyAt, keyBytes) > offset) return false
    return !isTombstone || commit > lane.tombstonesTo
  }

  async #rewrite(
    sealed: readonly Segment[],
    live: ReadonlyMap<Segment, number>,
  ): Promise<CompactionReport | null> {
    const { segmentBytes, spanMsOf } = this.#options
    const removals = planRemovals(sealed, {
      liveBytesOf: (segment) => live.get(segment) ?? batchBytesOf(segment),
      spanMsOf,
      // whatever is dead goes: that no older value is left is what makes a tombstone safe to remove
      deadShare: 0,
      segmentBytes,
    })
    const tally: Tally = { records: 0, tombstones: 0 }
    const bytesBefore = sum(sealed)
    let bytesAfter = bytesBefore
    let bytesWritten = 0
    let segments = 0
    this.#bytesTotal = this.#bytesDone + removals.reduce((all, removal) => all + sum(removal.segments), 0)
    for (const removal of removals) {
      await this.#needRoom(removal.segments.reduce((all, segment) => all + (live.get(segment) ?? 0), 0))
      const written = await this.#replace(removal.segments, tally)
      if (written === null) return null
      segments += removal.segments.length
      bytesAfter += written - sum(removal.segments)
      bytesWritten += written
    }
    await this.#writeDown()
    return {
      streams: this.#rounds.map(({ stream }) => stream.name),
      segments,
      bytesBefore,
      bytesAfter,
      bytesWritten,
      recordsRemoved: tally.records,
      tombstonesRemoved: tally.tombstones,
      isComplete: this.#isComplete,
    }
  }

  async #needRoom(liveBytes: number): Promise<void> {
    const writable = await this.#options.writableBytes()
    if (liveBytes <= liveBytesMax(writable)) return
    const reason = `${liveBytes} bytes of a segment are to be written anew, and there is room for ${writable}`
    throw new NoRoomError(this.#chain.files.directory, reason, 'free some space on this disk')
  }

  /** @returns bytes written; null when it was ended early, or the row has changed */
  async #replace(run: readonly Segment[], tally: Tally): Promise<number | null> {
    const counted = { records: 0, tombstones: 0 }
    const keep: Keep = (id, record, batch, commit) => {
      const stays = this.#keep(id, record, batch, commit)
      if (!stays) counted.records++
      if (!stays && record.isTombstone) counted.tombstones++
      return stays
    }
    const written = await rewriteSegments(this.#chain, run, keep, {
      isClosing: () => this.#options.isClosing(),
      boundaries: this.#boundaries(),
      onStep: (bytes) => this.#progress(bytes),
    })
    if (written === null) return null
    const insert = written.segment === null ? {} : { insert: written.segment }
    // named from the first change on: offsets may be missing, also where a whole segment went
    const known = this.#chain.row.facts.cleaned ?? {}
    const cleaned = Object.fromEntries(
      this.#rounds.map(({ stream }) => [stream.name, known[stream.name] ?? []]),
    )
    if (!(await this.#chain.rearrange({ remove: run, ...insert, cleaned }))) return null
    tally.records += counted.records
    tally.tombstones += counted.tombstones
    return written.segment?.bytes ?? 0
  }

  /** A merged batch has one commit, its last: what is told apart by its commit is not put together. */
  #boundaries(): number[] {
    const commits = new Set(this.#options.boundaries)
    for (const { stream } of this.#rounds) {
      for (const [commit] of this.#chain.row.facts.cleaned?.[stream.name] ?? []) commits.add(commit + 1)
    }
    for (const { toCommit } of this.#lanes.values()) commits.add(toCommit + 1)
    return [...commits].sort((a, b) => a - b)
  }

  async #writeDown(): Promise<void> {
    const cleaned = this.#rounds.map(({ stream, tombstonesTo }) => {
      const toCommit = this.#lanes.get(stream.partitions[0]!.id)!.toCommit
      const steps = this.#chain.row.facts.cleaned?.[stream.name] ?? []
      return [stream.name, stepsAfter(steps, { toCommit, tombstonesTo }, this.#options.now)] as const
    })
    if (!(await this.#chain.rearrange({ remove: [], cleaned: Object.fromEntries(cleaned) }))) {
      this.#isComplete = false
    }
  }
}

function sum(segments: readonly Segment[]): number {
  return segments.reduce((bytes, segment) => bytes + batchBytesOf(segment), 0)
}
