/**
 * A segment's index: what it holds of each partition. In memory for the active segment; written beside a sealed one, once,
 * as `<segment>.index`. It is derived: a missing or damaged file is built again by reading the segment.
 * On disk: never change.
 *
 *   file      := "HWIX" version:u32be=1 summary entries
 *   summary   := length:u32be crc:u32be partitions:u32be summaryRow*      crc over everything from partitions on
 *   summaryRow:= id:u32be firstOffset:f64be nextOffset:f64be records:f64be bytes:f64be maxTimestamp:f64be
 *                count:u32be entriesAt:u32be entriesBytes:u32be entriesCrc:u32be
 *   entries   := per partition, count times: offsetDelta:varint commitDelta:varint timestampDelta:varint
 *                each the difference to the row before (the first: to firstOffset, to 0, to 0)
 */
import { crc32c } from '../storage/crc32c.ts'
import { PartitionIndex } from './partition-index.ts'
import { cursor, readVarint, writeVarint } from './varint.ts'

const MAGIC = 0x48574958
const VERSION = 1
const PREFIX_BYTES = 20
const ROW_BYTES = 60
const ENTRY_BYTES_MAX = 30

export interface PartitionSummary {
  readonly id: number
  readonly firstOffset: number
  readonly nextOffset: number
  readonly records: number
  readonly bytes: number
  readonly maxTimestamp: number
}

export class SegmentIndex {
  readonly firstCommit: number
  readonly partitions = new Map<number, PartitionIndex>()

  constructor(firstCommit: number) {
    this.firstCommit = firstCommit
  }

  /** The partition's index, made on its first batch in this segment. */
  of(id: number, firstOffset: number): PartitionIndex {
    let partition = this.partitions.get(id)
    if (partition === undefined) {
      partition = new PartitionIndex(id, firstOffset, this.firstCommit)
      this.partitions.set(id, partition)
    }
    return partition
  }

  /** Stored batches of all partitions. */
  get count(): number {
    let count = 0
    for (const partition of this.partitions.values()) count += partition.count
    return count
  }

  /** Nobody reads it any more. */
  release(): void {
    for (const partition of this.partitions.values()) partition.release()
    this.partitions.clear()
  }

  encode(): Buffer {
    const entries = [...this.partitions.values()].map(encodeEntries)
    const head = Buffer.alloc(PREFIX_BYTES + ROW_BYTES * entries.length)
    head.writeUInt32BE(MAGIC, 0)
    head.writeUInt32BE(VERSION, 4)
    head.writeUInt32BE(head.length, 8)
    head.writeUInt32BE(entries.length, 16)
    let at = PREFIX_BYTES
    let entriesAt = head.length
    for (const [i, partition] of [...this.partitions.values()].entries()) {
      at = head.writeUInt32BE(partition.id, at)
      at = head.writeDoubleBE(partition.firstOffset, at)
      at = head.writeDoubleBE(partition.nextOffset, at)
      at = head.writeDoubleBE(partition.records, at)
      at = head.writeDoubleBE(partition.bytes, at)
      at = head.writeDoubleBE(partition.maxTimestamp, at)
      at = head.writeUInt32BE(partition.count, at)
      at = head.writeUInt32BE(entriesAt, at)
      at = head.writeUInt32BE(entries[i]!.length, at)
      at = head.writeUInt32BE(crc32c(entries[i]!), at)
      entriesAt += entries[i]!.length
    }
    head.writeUInt32BE(crc32c(head.subarray(16)), 12)
    return Buffer.concat([head, ...entries])
  }

  /** @returns the index, or undefined where the file is damaged or of another version. */
  static decode(file: Buffer, firstCommit: number): SegmentIndex | undefined {
    const head = checkedHead(file)
    if (head === undefined) return undefined
    const index = new SegmentIndex(firstCommit)
    for (let at = PREFIX_BYTES; at < head.length; at += ROW_BYTES) {
      const from = head.readUInt32BE(at + 48)
      const entries = file.subarray(from, from + head.readUInt32BE(at + 52))
      if (crc32c(entries) !== head.readUInt32BE(at + 56)) return undefined
      const summary = readSummary(head, at)
      const partition = index.of(summary.id, summary.firstOffset)
      decodeEntries(partition, entries, head.readUInt32BE(at + 44), firstCommit)
      partition.nextOffset = summary.nextOffset
      partition.records = summary.records
      partition.bytes = summary.bytes
    }
    return index
  }

  /** The summaries alone, without the entries: what the log keeps in memory of a sealed segment. */
  static decodeSummaries(file: Buffer): PartitionSummary[] | undefined {
    const head = checkedHead(file)
    if (head === undefined) return undefined
    const summaries: PartitionSummary[] = []
    for (let at = PREFIX_BYTES; at < head.length; at += ROW_BYTES) summaries.push(readSummary(head, at))
    return summaries
  }

  summaries(): PartitionSummary[] {
    return [...this.partitions.values()].map((partition) => ({
      id: partition.id,
      firstOffset: partition.firstOffset,
      nextOffset: partition.nextOffset,
      records: partition.records,
      bytes: partition.bytes,
      maxTimestamp: partition.maxTimestamp,
    }))
  }
}

function checkedHead(file: Buffer): Buffer | undefined {
  if (file.length < PREFIX_BYTES || file.readUInt32BE(0) !== MAGIC || file.readUInt32BE(4) !== VERSION) {
    return undefined
  }
  const length = file.readUInt32BE(8)
  if (length > file.length || (length - PREFIX_BYTES) % ROW_BYTES !== 0) return undefined
  const head = file.subarray(0, length)
  return crc32c(head.subarray(16)) === head.readUInt32BE(12) ? head : undefined
}

function readSummary(head: Buffer, at: number): PartitionSummary {
  return {
    id: head.readUInt32BE(at),
    firstOffset: head.readDoubleBE(at + 4),
    nextOffset: head.readDoubleBE(at + 12),
    records: head.readDoubleBE(at + 20),
    bytes: head.readDoubleBE(at + 28),
    maxTimestamp: head.readDoubleBE(at + 36),
  }
}

function encodeEntries(partition: PartitionIndex): Buffer {
  const bytes = Buffer.allocUnsafe(partition.count * ENTRY_BYTES_MAX)
  let at = 0
  let offset = partition.firstOffset
  let commit = 0
  let timestamp = 0
  for (let i = 0; i < partition.count; i++) {
    at = writeVarint(bytes, at, partition.offsetAt(i) - offset)
    at = writeVarint(bytes, at, partition.commitAt(i) - commit)
    at = writeVarint(bytes, at, partition.timestampAt(i) - timestamp)
    offset = partition.offsetAt(i)
    commit = partition.commitAt(i)
    timestamp = partition.timestampAt(i)
  }
  return bytes.subarray(0, at)
}

function decodeEntries(partition: PartitionIndex, entries: Buffer, count: number, firstCommit: number): void {
  let at = 0
  let offset = partition.firstOffset
  let commit = 0
  let timestamp = 0
  for (let i = 0; i < count; i++) {
    offset += readVarint(entries, at)
    commit += readVarint(entries, cursor.at)
    timestamp += readVarint(entries, cursor.at)
    at = cursor.at
    partition.add(Math.max(commit, firstCommit), {
      baseOffset: offset,
      nextOffset: offset,
      records: 0,
      bytes: 0,
      maxTimestamp: timestamp,
    })
  }
}
