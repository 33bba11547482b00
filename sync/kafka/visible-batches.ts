/**
 * Which records of a Fetch answer a reader may see. The leader sends records of aborted transactions, too, with a list of
 * those transactions: each is under way from its first offset until its producer's next abort marker.
 */
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  batchFault,
  type LogRecord,
  maxTimestampOf,
  nextOffsetOf,
  readRecords,
} from '../../broker/index.ts'
import { plainBatch } from './decompress.ts'
import type { AbortedTransaction } from './fetch-codec.ts'
import { WireAnswerError } from './wire.ts'

const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
const PRODUCER_ID_AT = 43
/** Up to and with a batch's length, which counts what follows it. */
const LENGTH_END = 12
/** A control record's key is a version and a type, 16 bits each. */
const ABORT_MARKER = 0

export interface VisibleBatch {
  readonly records: LogRecord[]
  /** Their time is that of the append, not their own. */
  readonly hasOwnTime: boolean
  /** The position after the batch. */
  readonly nextOffset: number
}

/**
 * Batch by batch, those without a visible record, too. A batch that is cut off at the end comes whole with the next fetch.
 * @param aborted empty under read_uncommitted
 * @throws WireAnswerError CORRUPT_MESSAGE
 */
export function* visibleBatches(
  bytes: Buffer,
  aborted: readonly AbortedTransaction[],
  position: number,
): Generator<VisibleBatch> {
  const toCome = [...aborted].sort((a, b) => b.firstOffset - a.firstOffset)
  const underWay = new Set<bigint>()
  for (let at = 0; at + LENGTH_END <= bytes.length; ) {
    const end = at + LENGTH_END + bytes.readInt32BE(at + 8)
    if (end > bytes.length) return
    const batch = bytes.subarray(at, Math.max(at, end))
    const fault = batchFault(batch)
    if (fault !== null) throw new WireAnswerError('CORRUPT_MESSAGE', 'Fetch', `CORRUPT_MESSAGE: ${fault}`)
    at = end
    const nextOffset = nextOffsetOf(batch)
    while (toCome.length > 0 && toCome.at(-1)!.firstOffset < nextOffset)
      underWay.add(toCome.pop()!.producerId)
    const attributes = attributesOf(batch)
    const producerId = batch.readBigInt64BE(PRODUCER_ID_AT)
    const isControl = (attributes & CONTROL) !== 0
    if (isControl && isAbortMarker(batch)) underWay.delete(producerId)
    const isAborted = (attributes & TRANSACTIONAL) !== 0 && underWay.has(producerId)
    const records = isControl || isAborted || nextOffset <= position ? [] : recordsFrom(batch, position)
    yield { records, hasOwnTime: (attributes & LOG_APPEND_TIME) !== 0, nextOffset }
  }
}

function isAbortMarker(batch: Buffer): boolean {
  const data = Buffer.from(batch)
  data.writeInt16BE(attributesOf(batch) & ~CONTROL, 21)
  if (data.length === BATCH_HEADER_BYTES) return false
  const [marker] = readRecords(data)
  return marker?.key != null && marker.key.readInt16BE(2) === ABORT_MARKER
}

function recordsFrom(batch: Buffer, position: number): LogRecord[] {
  const plain = plainBatch(batch)
  const records: LogRecord[] = []
  const appendTime = (attributesOf(batch) & LOG_APPEND_TIME) !== 0 ? maxTimestampOf(batch) : null
  for (const record of readRecords(plain)) {
    if (record.offset < position) continue
    records.push(appendTime === null ? record : { ...record, timestamp: appendTime })
  }
  return records
}
