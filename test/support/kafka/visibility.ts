/** Which records of a Fetch answer a reader at its isolation level may see. */
import { type Batch, batches, type TopicRecord } from './batches.ts'

/** One partition of one Fetch answer. */
export interface Fetched {
  /** Aborted transactions that overlap these records; empty under `read_uncommitted`. */
  aborted: { producerId: bigint; firstOffset: bigint }[]
  bytes: Buffer
}

/** Adds the visible records in [position, end) to `records`; the result is the position after the last batch. */
export function collectVisible(
  partition: number,
  position: bigint,
  end: bigint,
  fetched: Fetched,
  records: TopicRecord[],
): bigint {
  const aborted = new AbortedTransactions(fetched.aborted)
  let next = position
  for (const batch of batches(partition, fetched.bytes)) {
    if (aborted.isVisible(batch)) {
      for (const record of batch.records()) {
        if (record.offset >= position && record.offset < end) records.push(record)
      }
    }
    next = batch.lastOffset + 1n
  }
  return next
}

/**
 * Tells records of aborted transactions, as the Java consumer does: a transaction in the broker's list is under way
 * from its first offset until its producer's next abort marker. The list is of one answer. Under `read_uncommitted`
 * it is empty.
 */
class AbortedTransactions {
  readonly #toCome: Fetched['aborted']
  readonly #underWay = new Set<bigint>()

  constructor(list: Fetched['aborted']) {
    this.#toCome = list.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  }

  isVisible(batch: Batch): boolean {
    while (this.#toCome.length > 0 && this.#toCome[0]!.firstOffset <= batch.lastOffset) {
      this.#underWay.add(this.#toCome.shift()!.producerId)
    }
    if (batch.isControl) {
      if (isAbortMarker(batch)) this.#underWay.delete(batch.producerId)
      return false
    }
    return !(batch.isTransactional && this.#underWay.has(batch.producerId))
  }
}

/** A control record's key is a version and a type, 16 bits each; type 0 is ABORT, 1 is COMMIT. */
function isAbortMarker(batch: Batch): boolean {
  const key = batch.records()[0]?.key
  return key?.readInt16BE(2) === 0
}
