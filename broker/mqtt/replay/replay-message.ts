/**
 * A record as a replay sends it: the message as it was published, under its own topic. MQTT 5 is told by user properties where it stands:
 *
 *     hw.stream, hw.partition, hw.offset
 *     hw.timestamp        when it was accepted, ISO 8601; corrected where the clock is known to have been wrong
 *     hw.clock            "untrusted" where the clock was not to be trusted and nobody knows by how much it was wrong
 *     hw.tombstone        "true": the record has no value, which says that its key is gone
 *     hw.message-expiry   seconds, as the publisher gave them: history does not expire
 *     hw.gap              "FROM-TO REASON": offsets of this partition before this message that are not there any more; can come more than once
 *
 * They come first. Properties by these names that a publisher gave are left out: nobody forges a position.
 */
import { type MissingOffsets, type ReadRecord, timeOf } from '../../log/merged-reader.ts'
import type { Message, Place } from '../hub/message.ts'
import { isName } from '../packets/utf8.ts'
import { messageOf } from '../record-headers.ts'

const OWN_NAMES = new Set(
  ['stream', 'partition', 'offset', 'timestamp', 'clock', 'tombstone', 'message-expiry', 'gap'].map(
    (name) => `hw.${name}`,
  ),
)
const TOPIC_BYTES_MAX = 65_535

/** @returns null where the record has no topic that MQTT could name */
export function replayedMessage(
  read: ReadRecord,
  place: Place,
  gaps: readonly MissingOffsets[],
  hasProperties: boolean,
): Message | null {
  const message = messageOf(read.record, place)
  if (!isTopic(message.topic)) return null
  if (!hasProperties) return { ...message, properties: null }
  const { messageExpiry, userProperties = [], ...properties } = message.properties ?? {}
  const own = positionOf(read, place, gaps)
  if (messageExpiry !== undefined) own.push(['hw.message-expiry', String(messageExpiry)])
  for (const property of userProperties) if (!OWN_NAMES.has(property[0])) own.push([...property])
  return { ...message, properties: { ...properties, userProperties: own } }
}

function positionOf(
  read: ReadRecord,
  { partition, offset }: Place,
  gaps: readonly MissingOffsets[],
): [string, string][] {
  const own: [string, string][] = [
    ['hw.stream', partition.stream],
    ['hw.partition', String(partition.partition)],
    ['hw.offset', String(offset)],
    ['hw.timestamp', isoTime(timeOf(read))],
  ]
  if (read.clock?.trust === 'untrusted') own.push(['hw.clock', 'untrusted'])
  if (read.record.value === null) own.push(['hw.tombstone', 'true'])
  for (const { from, to, reason } of gaps) own.push(['hw.gap', `${from}-${to - 1} ${reason}`])
  return own
}

/** A record that did not come over MQTT can have any key. */
function isTopic(topic: string): boolean {
  const bytes = Buffer.from(topic)
  if (bytes.length === 0 || bytes.length > TOPIC_BYTES_MAX || /[+#]/.test(topic)) return false
  // what was not UTF-8 has become this character
  return !topic.includes('\ufffd') && isName(bytes, 0, bytes.length)
}

function isoTime(timestamp: number): string {
  // a damaged clock can give a time outside the calendar
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString()
}
