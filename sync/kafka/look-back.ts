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

/**
 * @param bytesMax how much to read before giving up
 * @param below looks only at what stands below this offset of the topic
 */
export async function lookBack(
  wire: KafkaWire,
  lane: Lane,
  bytesMax: number,
  below = Number.POSITIVE_INFINITY,
): Promise<LookBack> {
  try {
    const { start, stable } = await wire.bounds(lane.leader, lane.topic, lane.partition)
    let spent = 0
    let size = WINDOW
    for (let to = Math.min(stable, below); to > start; size *= WINDOW_GROWTH) {
      const from = Math.max(start, to - size)
      let next: number | null = null
      for await (const { records, bytes } of visible(wire, lane, from, to)) {
        spent += bytes
        for (const record of records) next = originOffset(record, lane.prefix) ?? next
        if (next === null && spent > bytesMax) {
          return { kind: 'unknown', reason: `it is not in the last ${spent} bytes` }
        }
      }
      if (next !== null) return { kind: 'found', next: next + 1 }
      to = from
    }
    return { kind: 'none' }
  } catch (error) {
    if (!isReadRefused(error)) throw error
    return { kind: 'unknown', reason: 'this user may not read it (ACL: Read)' }
  }
}

/** Many edges may write their topics and not read them. */
export function isReadRefused(error: unknown): boolean {
  return error instanceof WireAnswerError && error.answer === 'TOPIC_AUTHORIZATION_FAILED'
}

/** Whether a reader sees the last acknowledged record of a lane where it was. */
export async function holds(wire: KafkaWire, lane: Lane, last: LastRecord): Promise<boolean> {
  const { at: offset, next, proof } = last
  const { start, stable } = await wire.bounds(lane.leader, lane.topic, lane.partition)
  // Retention removed it: it was there.
  if (offset < start) return true
  if (offset >= stable) return false
  for await (const { records } of visible(wire, lane, offset, offset + 1)) {
    const [record] = records
    if (record === undefined) continue
    const origin = originOffset(record, lane.prefix)
    return origin === null ? proofOf(record) === proof : origin < next
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

/** The edge's offset of a record of this log, else null. One that came from elsewhere keeps that header in front of this edge's. */
function originOffset({ headers }: LogRecord, prefix: string | null): number | null {
  if (prefix === null) return null
  const value = headers.findLast(({ key }) => key === ORIGIN_HEADER)?.value?.toString() ?? ''
  if (!value.startsWith(prefix)) return null
  const offset = Number(value.slice(prefix.length))
  return Number.isSafeInteger(offset) ? offset : null
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
