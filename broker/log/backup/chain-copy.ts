/**
 * Copies one chain into a backup: all commits up to a cut, with the segments' own boundaries, in steps.
 *
 * Compaction and retention go on meanwhile. A segment that is replaced while it is half copied is left there, and its successor
 * read from the next commit on: a batch that it merged may begin with records that were copied already; they are cut off. What
 * retention drops before its turn is not in the backup, as it is no longer in the log.
 *
 * Compaction takes a record out because a newer one of its key is there, perhaps one behind the cut. So where something was
 * replaced or dropped before it was copied, the copy goes on to a later cut, which has the newer one.
 */
import type { Entry } from '../../storage/store.ts'
import { trimBatch } from '../batch-trim.ts'
import type { Chain } from '../chain.ts'
import type { ChainCut } from '../chain-cut.ts'
import { commitOf, idOf, NOTE_ID } from '../commit-key.ts'
import type { ChainFacts } from '../manifest.ts'
import { decodeNote, encodeNote } from '../note.ts'
import { listed } from '../rearrangement.ts'
import { baseOffsetOf, batchFault, nextOffsetOf, recordCountOf } from '../record-batch.ts'
import type { Segment } from '../segment.ts'
import { giveWay } from '../segment-rewriter.ts'
import { patiently, readCommits, type Unreadable } from '../whole-commits.ts'
import { type ChainEnd, encodeEntries, encodeJson, type SegmentBegin, type SegmentEnd } from './contents.ts'
import { FrameKind, type FrameWriter } from './format.ts'

/** Each is shorter than the one before, unless the copy is slower than the publishers. */
const CUTS_MAX = 8
/** More stretches than this are put into one. */
const UNREADABLE_MAX = 1000

/** The segment that is copied. */
interface CopiedSegment {
  readonly source: Segment
  readonly isEnteredMidway: boolean
  /** Damage known before it. */
  readonly faultsBefore: number
  /** By partition id: records of whole batches. */
  readonly records: Map<number, number>
  entries: number
  bytes: number
  /** The last commit that was asked of it. */
  end: number
}

export class ChainCopy {
  readonly #chain: Chain
  readonly #frames: FrameWriter
  readonly #stepBytes: number
  #cut: ChainCut
  /** The commit to go on from. */
  #at = 0
  #segment: CopiedSegment | null = null
  /** By partition id: the offset after what was copied. */
  readonly #copied = new Map<number, number>()
  readonly #unreadable: Unreadable[] = []
  #damaged = 0

  constructor(chain: Chain, cut: ChainCut, frames: FrameWriter, stepBytes: number) {
    this.#chain = chain
    this.#cut = cut
    this.#frames = frames
    this.#stepBytes = stepBytes
  }

  /** @throws LogUnavailableError */
  async *pieces(): AsyncGenerator<Buffer, void, void> {
    const cleanedAtFirst = this.#cut.facts.cleaned
    yield this.#frames.frame(FrameKind.chainBegin, encodeJson({ name: this.#chain.name }))
    for (let cuts = 1; ; cuts++) {
      const isAsItWas = yield* this.#copyToCut()
      if (isAsItWas || cuts === CUTS_MAX) break
      this.#cut = await patiently(this.#chain, () => this.#chain.cut())
    }
    if (this.#segment !== null) yield this.#endSegment(this.#segment)
    yield this.#frames.frame(FrameKind.head, encodeNote({ head: this.#cut.head }))
    // what was cleaned since is perhaps in the copy as it was before: only that it was compacted is certain
    const cleaned = cleanedAtFirst ?? (this.#chain.row.facts.cleaned === undefined ? undefined : {})
    const end: ChainEnd = {
      commit: this.#cut.commit,
      damaged: this.#damaged,
      unreadable: this.#unreadable,
      facts: { ...this.#factsNow(), ...(cleaned === undefined ? {} : { cleaned }) },
    }
    yield this.#frames.frame(FrameKind.chainEnd, encodeJson(end))
  }

  /** @returns false when what was to be copied was replaced or dropped before it was. */
  async *#copyToCut(): AsyncGenerator<Buffer, boolean, void> {
    let isAsItWas = true
    for (;;) {
      const expected = this.#cut.segments.find(({ lastCommit }) => lastCommit >= this.#at)
      const { commits } = this.#chain.stats
      const step = await readCommits(this.#chain, this.#at, this.#cut.commit, this.#stepBytes)
      const started = performance.now()
      if (step?.segment.id !== expected?.id) isAsItWas = false
      if (step === null) return isAsItWas
      if (step.entries.length > 0 && step.segment.id !== this.#segment?.source.id) {
        if (this.#segment !== null) yield this.#endSegment(this.#segment)
        yield this.#beginSegment(step.segment)
      }
      for (const stretch of step.unreadable) this.#addUnreadable(stretch)
      const entries = step.entries.map((entry) => this.#toCopy(entry)).filter((entry) => entry !== null)
      this.#at = step.next
      if (step.segment.id === this.#segment?.source.id) this.#segment.end = step.next - 1
      if (entries.length === 0) continue
      const frame = this.#frames.frame(FrameKind.entries, ...encodeEntries(entries))
      this.#segment!.entries += entries.length
      this.#segment!.bytes += entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
      const elapsed = performance.now() - started
      yield frame
      await giveWay(elapsed, this.#chain.stats.commits !== commits)
    }
  }

  #beginSegment(segment: Segment): Buffer {
    const isEnteredMidway = this.#at > segment.firstCommit
    this.#segment = {
      source: segment,
      isEnteredMidway,
      faultsBefore: this.#faults,
      records: new Map(),
      entries: 0,
      bytes: 0,
      end: 0,
    }
    const { lastCommit: _last, bytes: _bytes, ...line } = listed(segment)
    const begin: SegmentBegin = { ...line, firstCommit: Math.max(line.firstCommit, this.#at) }
    return this.#frames.frame(FrameKind.segmentBegin, encodeJson(begin))
  }

  #endSegment(segment: CopiedSegment): Buffer {
    this.#checkRecords(segment)
    const { entries, bytes, end: lastCommit } = segment
    const end: SegmentEnd = { lastCommit, entries, bytes }
    return this.#frames.frame(FrameKind.segmentEnd, encodeJson(end))
  }

  /** LevelDB can pass over a damaged part without a word: then there are fewer records than when the segment was sealed. */
  #checkRecords({ source, isEnteredMidway, faultsBefore, records, end }: CopiedSegment): void {
    const { firstCommit, lastCommit, isSealed, summaries } = source
    const isAll = isSealed && !isEnteredMidway && end === lastCommit
    if (!isAll || this.#faults > faultsBefore) return
    for (const summary of summaries) {
      const missing = summary.records - (records.get(summary.id) ?? 0)
      if (missing <= 0) continue
      const { stream = '', partition = summary.id } = this.#chain.partitions.get(summary.id) ?? {}
      const reason = `records of ${stream}/${partition} are missing in them: ${missing}`
      this.#addUnreadable({ from: firstCommit, to: lastCommit, reason })
    }
  }

  get #faults(): number {
    return this.#damaged + this.#unreadable.length
  }

  /** The entry as it goes into the backup; null when all of it was copied before. Damaged ones go as they are. */
  #toCopy(entry: Entry): Entry | null {
    const { key, value } = entry
    const id = idOf(key)
    if (id === NOTE_ID) {
      if (typeof decodeNote(value) === 'string') this.#damaged++
      return entry
    }
    const fault = batchFault(value)
    if (fault !== null) {
      this.#damaged++
      this.#chain.files.damage.found(commitOf(key), id, fault)
      return entry
    }
    const { isEnteredMidway, records } = this.#segment!
    records.set(id, (records.get(id) ?? 0) + recordCountOf(value))
    const copied = this.#copied.get(id) ?? 0
    this.#copied.set(id, Math.max(copied, nextOffsetOf(value)))
    if (!isEnteredMidway || baseOffsetOf(value) >= copied) return entry
    const rest = nextOffsetOf(value) > copied ? trimBatch(value, copied) : null
    return rest === null ? null : { key, value: rest }
  }

  #addUnreadable(stretch: Unreadable): void {
    const last = this.#unreadable.at(-1)
    const isMore = last?.to === stretch.from - 1 && last.reason === stretch.reason
    if (last === undefined || !(isMore || this.#unreadable.length >= UNREADABLE_MAX)) {
      this.#unreadable.push(stretch)
    } else this.#unreadable[this.#unreadable.length - 1] = { ...last, to: stretch.to }
  }

  /** What the manifest says now, as far as the cut goes. */
  #factsNow(): ChainFacts {
    const next = new Map(this.#cut.head.next)
    const { holes, dropped } = this.#chain.row.facts
    // only retention raises them: what it took meanwhile is perhaps not in the copy
    const starts = [...this.#chain.partitions.values()].map(
      ({ id, logStartOffset }) => [id, Math.min(logStartOffset, next.get(id) ?? 0)] as const,
    )
    const known = holes
      ?.filter(({ id, from }) => from < (next.get(id) ?? 0))
      .map((hole) => ({ ...hole, to: Math.min(hole.to, next.get(hole.id) ?? 0) }))
    return {
      starts,
      ...(known !== undefined && known.length > 0 ? { holes: known } : {}),
      ...(dropped === undefined ? {} : { dropped }),
    }
  }
}
