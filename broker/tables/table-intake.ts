/**
 * Brings a table on: reads the log and applies it, a bounded part at a time, and notices when the log has changed under what the
 * table holds already, so that only building it again makes it the fold of the log.
 */
import { assert } from '../assert.ts'
import type { StoredBatch } from '../log/source.ts'
import type { LogSink } from '../log-sink.ts'
import type { Pace } from './pace.ts'
import { RecordScan } from './record-scan.ts'
import type { TableContents } from './table-contents.ts'
import type { TableLog } from './table-log.ts'

/** What is read from the log at once. */
const READ_BYTES = 256 * 1024
/** Records applied between two rests. */
const TURN_RECORDS = 500

/** `stale`: why it has to be built again. `away`: why the log cannot be read now. */
export type Taken = { readonly stale: string } | { readonly away: string } | 'taken'

export class TableIntake {
  readonly #stream: string
  readonly #contents: TableContents
  readonly #log: TableLog
  readonly #sink: LogSink
  readonly #pace: Pace
  readonly #isStopped: () => boolean
  /** performance.now() at which the holes of the log were looked at. */
  #holesAt = Number.NEGATIVE_INFINITY

  /** @param isStopped asked between records: what is not applied then is left */
  constructor(
    stream: string,
    contents: TableContents,
    files: { readonly log: TableLog; readonly sink: LogSink },
    pace: Pace,
    isStopped: () => boolean,
  ) {
    this.#stream = stream
    this.#contents = contents
    this.#log = files.log
    this.#sink = files.sink
    this.#pace = pace
    this.#isStopped = isStopped
  }

  /** @returns why the table is stale: offsets that it has applied are lost from the log; else null */
  lost(now: number, everyMs: number): string | null {
    if (now < this.#holesAt + everyMs) return null
    this.#holesAt = now
    return this.#contents.lostSince((partition) => this.#log.lostOffsets(this.#stream, partition))
  }

  /** Applies the next part of a partition. @param durableOffset where the partition ended before the call */
  async take(partition: number, durableOffset: number): Promise<Taken> {
    const { next } = this.#contents.meta
    const from = next[partition]!
    let batches: StoredBatch[]
    try {
      batches = await this.#log.read(this.#stream, partition, from, READ_BYTES)
    } catch (error) {
      return { away: (error as Error).message }
    }
    if (this.#contents.hasMissed(partition, from, this.#log.cleanedOffset(this.#stream, partition))) {
      return { stale: 'compaction has gone on without it' }
    }
    this.#pace.begin()
    this.#contents.touch()
    for (const batch of batches) {
      assert(batch.nextOffset > from, 'a batch that is read ends above the position')
      await this.#takeBatch(batch)
      if (this.#isStopped()) return 'taken'
    }
    // nothing whole is left up to there
    if (batches.length === 0) next[partition] = durableOffset
    await this.#pace.rest()
    return 'taken'
  }

  async #takeBatch({ partition, commit, bytes, nextOffset }: StoredBatch): Promise<void> {
    const contents = this.#contents
    const { next } = contents.meta
    const scan = new RecordScan(bytes)
    const source = { partition, commit }
    let records = 0
    while (this.#advance(scan)) {
      if (scan.offset < next[partition]!) continue
      contents.apply(scan, source)
      next[partition] = scan.offset + 1
      if (contents.isPendingFull) await contents.write(() => this.#pace.rest())
      else if (++records % TURN_RECORDS === 0) await this.#pace.rest()
      if (this.#isStopped()) return
    }
    next[partition] = nextOffset
    contents.applied(bytes.length)
  }

  /** A batch whose CRC is right and whose records are not was written so: it is passed over. */
  #advance(scan: RecordScan): boolean {
    try {
      return scan.next()
    } catch (error) {
      const reason = (error as Error).message
      this.#sink.error('records that cannot be decoded are not in the table', {
        stream: this.#stream,
        reason,
      })
      return false
    }
  }
}
