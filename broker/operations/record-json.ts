/** A record for people and programs: one JSON object a line. */
import { isUtf8 } from 'node:buffer'
import type { RecordClock } from '../clock/facts.ts'
import type { LogRecord } from '../log/record-batch.ts'
import { TOPIC_HEADER } from '../mqtt/router.ts'
import type { LostOffsets } from './operations.ts'

/** Bytes that are not UTF-8 text. */
export interface Base64 {
  readonly base64: string
}

export interface RecordJson {
  readonly stream: string
  readonly partition: number
  readonly offset: number
  /** ISO 8601, when the event was accepted, as this machine's clock said it */
  readonly timestamp: string
  /** Only where that clock was not to be trusted then. */
  readonly clock?: {
    readonly trust: RecordClock['trust']
    /** ISO 8601; where it came to be known by how much it was wrong. */
    readonly correctedTimestamp?: string
  }
  /** The MQTT topic; null for a record that came another way. */
  readonly topic: string | null
  readonly key: string | Base64 | null
  /** null is a tombstone. */
  readonly value: string | Base64 | null
  /** In their order, without the topic's. */
  readonly headers: readonly { readonly key: string; readonly value: string | Base64 | null }[]
}

/** A record without a topic header has the topic as its key. */
export function recordJson(
  stream: string,
  partition: number,
  record: LogRecord,
  clock: RecordClock | null = null,
): RecordJson {
  const topic = record.headers.find((header) => header.key === TOPIC_HEADER)?.value ?? record.key
  return {
    stream,
    partition,
    offset: record.offset,
    timestamp: isoTime(record.timestamp),
    ...(clock === null ? {} : { clock: clockJson(clock) }),
    topic: topic === null || !isUtf8(topic) ? null : topic.toString('utf8'),
    key: textOf(record.key),
    value: textOf(record.value),
    headers: record.headers
      .filter((header) => header.key !== TOPIC_HEADER)
      .map(({ key, value }) => ({ key, value: textOf(value) })),
  }
}

function clockJson({ trust, correctedTimestamp }: RecordClock): NonNullable<RecordJson['clock']> {
  if (correctedTimestamp === undefined) return { trust }
  return { trust, correctedTimestamp: isoTime(correctedTimestamp) }
}

/** In the place of records that are lost. */
export interface GapJson {
  readonly stream: string
  readonly partition: number
  readonly gap: { readonly from: number; readonly to: number; readonly reason: string }
}

export function gapJson(stream: string, partition: number, { from, to, reason }: LostOffsets): GapJson {
  return { stream, partition, gap: { from, to: to - 1, reason } }
}

export function textOf(bytes: Buffer | null): string | Base64 | null {
  if (bytes === null) return null
  return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') }
}

/** The bytes again, as they stand in the log. */
export function bytesOf(value: string | Base64): Buffer {
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value.base64, 'base64')
}

function isoTime(timestamp: number): string {
  // A damaged clock can give a time outside the calendar; a record is shown nevertheless.
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString()
}
