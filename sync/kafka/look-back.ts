/**
 * Where this log stands in a topic partition, told by the records there: behind the last one that a reader sees and whose
 * hw.origin names this log. For when the checkpoint is gone or its records are. Read backwards in windows that grow, because in
 * nearly all cases the last batches tell, and a topic that many edges share can be large.
 */
import { crc32c, type LogRecord, varintSize, writeInt64, writeVarint } from '../../broker/index.ts'
import { ORIGIN_HEADER } from '../origin-header.ts'
import type { LookBack } from '../upstream.ts'
import type { Lane, LastRecord } from './routes.ts'
import { visibleBatches } from './visible-batches.ts'
import { type KafkaWire, WireAnswerError } from './wire.ts'

/** Offsets of the first window, and how much larger each next one is. */
const WINDOW = 100
const WINDOW_GROWTH = 4
const FETCH_BYTES_MAX = 256 * 1024
/** How much of a shared topic an edge that was perhaps never there reads of each partition. */
export const GLANCE_BYTES_MAX = 256 * 1024

export interface Seen {
  /** By the stream's partition: behind its last record. */
  readonly nexts: ReadonlyMap<number, number>
  readonly bytes: number
  /** All that the topic ever had was read: retention removed nothing. */
  readonly isWhole: boolean
  /** All that it has was read. */
  readonly isRead: boolean
}

/**
 * The last records of some of a stream's partitions in a lane.
 * @param bytesMax how much to read before giving up
 * @param below looks only at what stands below this offset of the topic
 */
export async function lastSeen(
  wire: KafkaWire,
  lane: Lane,
  wanted: ReadonlySet<number>,
  bytesMax: number,
  below = Number.POSITIVE_INFINITY,
): Promise<Seen> {
  const { start, stable } = await wire.bounds(lane.leader, lane.topic, lane.partition)
  const nexts = new Map<number, number>()
  let bytes = 0
  let size = WINDOW
  let to = Math.min(stable, below)
  for (; to > start && nexts.size < wanted.size && bytes <= bytesMax; size *= WINDOW_GROWTH) {
    const from = Math.max(start, to - size)
    const found = new Map<number, number>()
    let isRead = true
    for await (const answer of visible(wire, lane, from, to)) {
      bytes += answer.bytes
      for (const record of answer.records) {
        const origin = originOf(record, lane)
        if (origin === null || !wanted.has(origin.partition) || nexts.has(origin.partition)) continue
        found.set(origin.partition, origin.offset + 1)
      }
      // With one found the window is read to its end: a later one may be in it.
      isRead = bytes <= bytesMax || found.size > 0
      if (!isRead) break
    }
    for (const [partition, next] of found) nexts.set(partition, next)
    if (isRead) to = from
  }
  const isRead = to <= start
  return { nexts, bytes, isRead, isWhole: isRead && start === 0 }
}

/** Where a lane that holds one partition of the stream ends. */
export async function lookBack(
  wire: KafkaWire,
  lane: Lane,
  bytesMax: number,
  below?: number,
): Promise<LookBack> {
  try {
    const { nexts, bytes, isRead } = await lastSeen(wire, lane, new Set([lane.partition]), bytesMax, below)
    const next = nexts.get(lane.partition)
    if (next !== undefined) return { kind: 'found', next }
    return isRead ? { kind: 'none' } : { kind: 'unknown', reason: `it is not in the last ${bytes} bytes` }
  } catch (error) {
    if (!isReadRefused(error)) throw error
    return { kind: 'unknown', reason: MAY_NOT_READ }
  }
}

export const MAY_NOT_READ = 'this user may not read it (ACL: Read)'

/** Many edges may write their topics and not read them. */
export function isReadRefused(error: unknown): boolean {
  return error instanceof WireAnswerError && error.answer === 'TOPIC_AUTHORIZATION_FAILED'
}

/** Whether a reader sees the last acknowledged record of a lane where it was. */
export async function holds(wire: KafkaWire, lane: Lane, { at, position }: LastRecord): Promise<boolean> {
  const { start, stable } = await wire.bounds(lane.leader, lane.topic, lane.partition)
  // Retention removed it: it was there.
  if (at < start) return true
  if (at >= stable) return false
  for await (const { records } of visible(wire, lane, at, at + 1)) {
    const [record] = records
    if (record === undefined) continue
    const origin = originOf(record, lane)
    if (origin === null) return position !== null && proofOf(record) === position.proof
    // One that was written behind a loss is not the one that was acknowledged.
    return origin.offset < (position ?? lane.positions.get(origin.partition) ?? { next: 0 }).next
  }
  return false
}

/** Records in [from, to) as a reader under read_committed sees them, an answer at a time, and how many bytes it had. */
async function* visible(
  wire: KafkaWire,
  { leader, topic, topicId, partition }: Lane,
  from: number,
  to: number,
): AsyncGenerator<{ records: readonly LogRecord[]; bytes: number }> {
  const limits = { bytesMax: FETCH_BYTES_MAX, partitionBytesMax: FETCH_BYTES_MAX }
  for (let at = from; at < to; ) {
    const asks = [{ topicId, partition, leaderEpoch: -1, offset: at }]
    const [part] = await wire.fetch(leader, { isolation: 'read_committed', waitMs: 0, ...limits, asks })
    const answer = part?.answer ?? 'UNKNOWN_SERVER_ERROR'
    if (answer !== 'NONE')
      throw new WireAnswerError(answer, 'Fetch', `Fetch of ${topic}/${partition}: ${answer}`)
    const before = at
    const records: LogRecord[] = []
    for (const batch of visibleBatches(part!.records, part!.aborted, before)) {
      at = batch.nextOffset
      for (const record of batch.records) if (record.offset < to) records.push(record)
    }
    if (at === before) return
    yield { records, bytes: part!.records.length }
  }
}

/** Where a record of this log is from, else null. One that came from elsewhere keeps that header in front of this edge's. */
function originOf({ headers }: LogRecord, { origins }: Lane): { partition: number; offset: number } | null {
  const value = headers.findLast(({ key }) => key === ORIGIN_HEADER)?.value?.toString() ?? ''
  const digitsAt = value.lastIndexOf('/') + 1
  const partition = origins.get(value.slice(0, digitsAt))
  const offset = Number(value.slice(digitsAt))
  return partition === undefined || !Number.isSafeInteger(offset) ? null : { partition, offset }
}

/** proof.ts's proof, of a record that came back without the provenance header. */
export function proofOf({ timestamp, key, value, headers }: LogRecord): number {
  const time = Buffer.alloc(8)
  writeInt64(time, 0, timestamp)
  const pieces = [time, ...sized(key), ...sized(value), varint(headers.length)]
  for (const { key, value } of headers) pieces.push(...sized(Buffer.from(key, 'utf8')), ...sized(value))
  return crc32c(Buffer.concat(pieces))
}

function sized(bytes: Buffer | null): Buffer[] {
  return bytes === null ? [varint(-1)] : [varint(bytes.length), bytes]
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(varintSize(value))
  writeVarint(bytes, 0, value)
  return bytes
}
