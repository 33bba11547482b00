/** Walks through one partition of the edge's log, record by record, from a position to a fixed end. */
import { type LogRecord, readRecords } from '../../broker/index.ts'
import type { AuditedLog } from './source.ts'

export class EdgeCursor {
  readonly #log: AuditedLog
  readonly #stream: string
  readonly #partition: number
  readonly #end: number
  /** Where the next read begins. */
  #offset: number
  #batches: readonly Buffer[] = []
  #batchIndex = 0
  #records: Iterator<LogRecord> | null = null

  constructor(log: AuditedLog, stream: string, partition: number, from: number, end: number) {
    this.#log = log
    this.#stream = stream
    this.#partition = partition
    this.#offset = from
    this.#end = end
  }

  /** The next record below the end, or null; valid until the next call. Offsets may be left out: those are gone. */
  next(): LogRecord | null | Promise<LogRecord | null> {
    return this.#held() ?? (this.#offset >= this.#end ? null : this.#read())
  }

  #held(): LogRecord | null {
    for (;;) {
      const step = this.#records?.next()
      if (step !== undefined && !step.done) {
        const record = step.value
        if (record.offset < this.#offset) continue
        if (record.offset >= this.#end) {
          this.#offset = this.#end
          this.#records = null
          this.#batches = []
          return null
        }
        this.#offset = record.offset + 1
        return record
      }
      const batch = this.#batches[this.#batchIndex++]
      if (batch === undefined) return null
      this.#records = readRecords(batch)
    }
  }

  async #read(): Promise<LogRecord | null> {
    for (;;) {
      this.#batches = await this.#log.read(this.#stream, this.#partition, this.#offset)
      this.#batchIndex = 0
      this.#records = null
      if (this.#batches.length === 0) this.#offset = this.#end
      const before = this.#offset
      const record = this.#held()
      if (record !== null || this.#offset >= this.#end) return record
      // A batch of which compaction left nothing at or behind the position.
      if (this.#offset === before) this.#offset = Math.max(before + 1, endOf(this.#batches))
      if (this.#offset >= this.#end) return null
    }
  }
}

function endOf(batches: readonly Buffer[]): number {
  const last = batches.at(-1)
  return last === undefined ? 0 : Number(last.readBigInt64BE(0)) + last.readInt32BE(23) + 1
}
