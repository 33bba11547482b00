/**
 * What an open table holds: its LevelDB, and over it what is applied and not written yet. Both together are the fold of the log up
 * to the positions in `meta`. One caller changes it, a step at a time; readers may come in between.
 */
import { murmur2 } from '../log/murmur2.ts'
import type { Store } from '../storage/store.ts'
import type { OneAtATime } from './pace.ts'
import { PendingChanges } from './pending-changes.ts'
import type { RecordScan } from './record-scan.ts'
import {
  END_ENTRY_KEY,
  entryKey,
  entryRange,
  type KeyRange,
  type RecordSource,
  recordKeyOf,
  type StoredEntry,
} from './table-entry.ts'
import type { PendingLimits } from './table-limits.ts'
import { type LostOffsets, placedHash, type TablePartition } from './table-log.ts'
import type { TableMeta } from './table-meta.ts'
import { TableSnapshot } from './table-snapshot.ts'
import { batchOf } from './write-batch.ts'

export class TableContents {
  readonly store: Store
  readonly meta: TableMeta
  readonly #partitions: readonly TablePartition[]
  readonly #limits: PendingLimits
  readonly #writing: OneAtATime
  readonly #pending = new PendingChanges()
  /** performance.now() of the first change that is not written; Infinity without one. */
  #pendingSince = Number.POSITIVE_INFINITY
  #pendingLogBytes = 0

  /** @param writing of all tables together */
  constructor(
    store: Store,
    meta: TableMeta,
    partitions: readonly TablePartition[],
    limits: PendingLimits,
    writing: OneAtATime,
  ) {
    this.store = store
    this.meta = meta
    this.#partitions = partitions
    this.#limits = limits
    this.#writing = writing
  }

  /** About how many keys: what is pending is not looked up. */
  get keys(): number {
    return Math.max(this.meta.keys.estimate, this.#pending.size)
  }

  // -- reading ------------------------------------------------------------------------------------------------------

  /** The stored form of a key's entry; null when there is none. */
  async find(key: Buffer): Promise<Buffer | null> {
    const pending = this.#pending.find(key.toString('latin1'))
    if (pending !== undefined) return pending
    return (await this.store.get(entryKey(key))) ?? null
  }

  hasPending(key: string): boolean {
    return this.#pending.has(key)
  }

  /** Not while a change or a write is under way. */
  snapshot(stream: string, range: KeyRange, ended: { damaged(reason: string): void; closed(): void }) {
    const { from, to } = entryRange(range)
    return new TableSnapshot({
      stream,
      scan: this.store.scan(from, to),
      pending: this.#pending.sorted(
        recordKeyOf(from).toString('latin1'),
        Buffer.compare(to, END_ENTRY_KEY) === 0 ? null : recordKeyOf(to).toString('latin1'),
      ),
      positions: [...this.meta.next],
      starts: this.starts(),
      ...ended,
    })
  }

  /** By partition: entries below are no part of the table any more. */
  starts(): number[] {
    return this.#partitions.map(({ logStartOffset }) => logStartOffset)
  }

  /** What retention has dropped is not waited for. */
  skipDropped(): void {
    const { next } = this.meta
    for (const [i, { logStartOffset }] of this.#partitions.entries()) {
      if (next[i]! < logStartOffset) next[i] = logStartOffset
    }
  }

  /**
   * What retention has dropped is no part of the table: that some of it was lost before changes nothing.
   * @returns why the table is not the fold of the log any more: offsets that it has applied are lost; else null
   */
  lostSince(holesOf: (partition: number) => readonly LostOffsets[]): string | null {
    const { meta } = this
    const holes = meta.next.flatMap((next, partition) =>
      holesOf(partition).map((hole) => {
        const start = this.#partitions[partition]!.logStartOffset
        const isApplied = hole.to > start && Math.max(hole.from, start) < next
        return { ...hole, partition, isApplied }
      }),
    )
    if (holes.length === meta.holes) return null
    const lost = holes.find(({ isApplied }) => isApplied)
    if (lost !== undefined) {
      return `offsets ${lost.from} to ${lost.to - 1} of partition ${lost.partition} are lost from the log`
    }
    meta.holes = holes.length
    return null
  }

  /**
   * To be asked after each read, before what it brought is applied.
   * @param from where the read began
   * @param cleaned the log's `cleanedOffset` now
   * @returns whether compaction may have taken a tombstone from what was just read whose key is in the table
   */
  hasMissed(partition: number, from: number, cleaned: number): boolean {
    const { meta } = this
    if (cleaned <= meta.cleaned[partition]!) return false
    const isNothingApplied = from <= this.#partitions[partition]!.logStartOffset
    if (cleaned > from && !isNothingApplied) return true
    meta.cleaned[partition] = cleaned
    return false
  }

  // -- changing -----------------------------------------------------------------------------------------------------

  /** Something that has to be written begins, if only a position. */
  touch(): void {
    if (this.#pendingSince === Number.POSITIVE_INFINITY) this.#pendingSince = performance.now()
  }

  /** Applies the record at which the scan stands. */
  apply(scan: RecordScan, source: RecordSource): void {
    const { partition } = source
    this.touch()
    const hash = placedHash(scan, partition, this.#partitions.length)
    if (typeof hash !== 'number') {
      this.meta[hash]++
      return
    }
    if (scan.valueFrom < 0) this.#pending.remove(scan.keyText, partition, scan.offset, hash)
    else this.#pending.put(scan, source, hash)
  }

  /** A batch of the log is applied to its end. */
  applied(logBytes: number): void {
    this.#pendingLogBytes += logBytes
  }

  remove(key: string, { partition, offset }: StoredEntry): void {
    this.#pending.remove(key, partition, offset, murmur2(Buffer.from(key, 'latin1')))
  }

  get isPendingFull(): boolean {
    return this.#pending.bytes >= this.#limits.pendingBytesMax
  }

  /** In how many ms changes are to be written; Infinity without any. */
  writeDueMs(now: number): number {
    const { pendingLogBytesMax, pendingMsMax } = this.#limits
    if (this.isPendingFull || this.#pendingLogBytes >= pendingLogBytesMax) return 0
    return Math.max(0, this.#pendingSince + pendingMsMax - now)
  }

  /**
   * One batch: the changes, and the positions that they bring the table to. Synced: without that LevelDB's write-ahead file can come
   * back from a power cut with a hole in it, and LevelDB, which skips what it cannot read, would bring the positions of a batch and
   * not the changes of the one before.
   * @param rest lets other work of this process have a turn
   */
  async write(rest: () => Promise<void>): Promise<void> {
    if (this.#pendingSince === Number.POSITIVE_INFINITY) return
    const batch = await batchOf(this.store, this.#pending, this.meta, this.starts(), rest)
    await this.#writing.run(() => batch.write({ sync: true }))
    this.#pending.clear()
    this.#pendingSince = Number.POSITIVE_INFINITY
    this.#pendingLogBytes = 0
  }
}
