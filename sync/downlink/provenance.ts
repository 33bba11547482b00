/**
 * Where a record has been, in its headers.
 *
 *   hw.origin := edge "/" incarnation8 "/" stream "/" partition "/" offset     one for each edge that sent it upstream
 *   hw.hops   := decimal                                                       through how many downlinks it came; none is 0
 *   hw.from   := cluster "/" topic "/" partition "/" offset                    of the topic that it came down from last
 *
 * A replicator sends a record's headers on and adds its hw.origin (origin-header.ts). A record that has come down keeps its hw.origin
 * headers, gets the next number of hops, and says where it came from. That ends every loop: a record does not come down where it has
 * been, and not more often than `hopsMax`.
 */
import type { RecordHeader } from '../../broker/index.ts'
import { ORIGIN_HEADER } from '../origin-header.ts'
import type { SourceRecord, SourceTopic } from './source.ts'

const HOPS_HEADER = 'hw.hops'
const FROM_HEADER = 'hw.from'
/** The broker's name for the MQTT topic, which it sets itself. */
const TOPIC_HEADER = 'topic'
const REPLACED: ReadonlySet<string> = new Set([HOPS_HEADER, FROM_HEADER, TOPIC_HEADER])

/** Whether this edge, in any of its incarnations, sent the record upstream. */
export function isOwn(record: SourceRecord, edge: string): boolean {
  const prefix = `${edge}/`
  return record.headers.some(
    ({ key, value }) => key === ORIGIN_HEADER && value?.toString('utf8').startsWith(prefix) === true,
  )
}

/** Through how many downlinks it came. What is no number there counts as none. */
export function hopsOf(record: SourceRecord): number {
  const value = record.headers.findLast(({ key }) => key === HOPS_HEADER)?.value?.toString('latin1') ?? ''
  return /^[0-9]{1,9}$/.test(value) ? Number(value) : 0
}

/** The headers of the record that it becomes here. */
export function headersDown(record: SourceRecord, topic: SourceTopic, partition: number): RecordHeader[] {
  const from = `${topic.cluster}/${topic.topic}/${partition}/${record.offset}`
  return [
    ...record.headers.filter(({ key }) => !REPLACED.has(key)),
    { key: HOPS_HEADER, value: Buffer.from(String(hopsOf(record) + 1)) },
    { key: FROM_HEADER, value: Buffer.from(from) },
  ]
}
