/**
 * What one record of a write-ahead file holds (db/write_batch.cc):
 *
 *   batch  := sequence:u64le count:u32le change{count}
 *   change := 1 key value | 0 key                     a value put | a deletion
 *   key, value := length:varint32 byte{length}
 *
 * The first change has the batch's sequence, each further one the next.
 */
import { ByteCursor, NONE } from './byte-cursor.ts'
import { DELETION, VALUE } from './internal-key.ts'

const HEADER_BYTES = 12

export interface Change {
  readonly key: Buffer
  /** undefined for a deletion. */
  readonly value: Buffer | undefined
  readonly sequence: number
}

export interface DecodedBatch {
  readonly sequence: number
  readonly changes: readonly Change[]
  /** The sequence of the last change by the count that stands in front. */
  readonly lastSequence: number
  /** Why it is no batch that LevelDB wrote, or null. */
  readonly fault: string | null
}

/** Whether it is whole, and which sequences it has: as `decodeBatch`, without its changes. */
export function checkBatch(record: Buffer): Omit<DecodedBatch, 'changes'> {
  if (record.length < HEADER_BYTES) return { sequence: 0, lastSequence: 0, fault: 'it is too short' }
  const sequence = sequenceOf(record)
  const count = record.readUInt32LE(8)
  const cursor = new ByteCursor(record, HEADER_BYTES)
  let changes = 0
  let fault: string | null = null
  while (!cursor.isAtEnd && fault === null) {
    const type = record[cursor.at++]
    if (type !== VALUE && type !== DELETION) fault = 'a change is of no known kind'
    else if (cursor.skipPrefixed() === NONE || (type === VALUE && cursor.skipPrefixed() === NONE))
      fault = 'a change is cut short'
    changes++
  }
  if (fault === null && changes !== count) fault = 'its count is wrong'
  return { sequence, lastSequence: sequence + count - 1, fault }
}

function sequenceOf(record: Buffer): number {
  return record.readUInt32LE(0) + record.readUInt32LE(4) * 2 ** 32
}

/** @param record keys and values are parts of it, not copies */
export function decodeBatch(record: Buffer): DecodedBatch {
  if (record.length < HEADER_BYTES)
    return { sequence: 0, changes: [], lastSequence: 0, fault: 'it is too short' }
  const sequence = sequenceOf(record)
  const count = record.readUInt32LE(8)
  const changes: Change[] = []
  const cursor = new ByteCursor(record, HEADER_BYTES)
  const result = (fault: string | null) => ({ sequence, changes, lastSequence: sequence + count - 1, fault })
  while (!cursor.isAtEnd) {
    const type = record[cursor.at++]
    if (type !== VALUE && type !== DELETION) return result('a change is of no known kind')
    const key = cursor.lengthPrefixed()
    const value = type === VALUE && key !== null ? cursor.lengthPrefixed() : undefined
    if (key === null || value === null) return result('a change is cut short')
    changes.push({ key, value, sequence: sequence + changes.length })
  }
  return result(changes.length === count ? null : 'its count is wrong')
}
