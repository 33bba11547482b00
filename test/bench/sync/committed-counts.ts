/**
 * Counts what a reader under read_committed finds in a topic, by the headers of the batches: end offsets would count the
 * transactions' markers too. A contender that lost or doubled records is then seen.
 */
import { batchBytes, batchFault, nextOffsetOf, recordCountOf } from '../../../broker/index.ts'
import { check, findLeaders } from '../../support/kafka/metadata.ts'
import type { TopicRecord } from '../../support/kafka/read-topic.ts'
import { collectVisible, type Fetched } from '../../support/kafka/visibility.ts'
import { FieldWriter, WireConnection } from '../../support/kafka/wire.ts'

const FETCH = 1
const READ_COMMITTED = 1
const FETCH_BYTES = 16 << 20
const CONTROL = 0x20

/** @returns records by partition. @throws when a batch is damaged */
export async function committedCounts(bootstrap: string, topic: string): Promise<number[]> {
  const connection = new WireConnection(bootstrap)
  try {
    const partitions = (await findLeaders(connection, topic)).size
    const counts: number[] = []
    for (let partition = 0; partition < partitions; partition++) {
      counts.push(await countPartition(connection, topic, partition))
    }
    return counts
  } finally {
    connection.close()
  }
}

async function countPartition(connection: WireConnection, topic: string, partition: number): Promise<number> {
  let records = 0
  let position = 0
  for (;;) {
    const { stableOffset, fetched } = await fetch(connection, topic, partition, position)
    const found =
      fetched.aborted.length > 0 ? countVisible(position, fetched) : countAll(position, fetched.bytes)
    records += found.records
    position = found.position
    if (position >= stableOffset) return records
  }
}

interface Found {
  readonly records: number
  /** After the last whole batch. */
  readonly position: number
}

function countAll(from: number, bytes: Buffer): Found {
  let records = 0
  let position = from
  for (let at = 0; at + 12 <= bytes.length; ) {
    const size = batchBytes(bytes.subarray(at))
    // the last one may be cut off; the next fetch brings it whole
    if (at + size > bytes.length) break
    const batch = bytes.subarray(at, at + size)
    const fault = batchFault(batch)
    if (fault !== null) throw new Error(`in Kafka at offset ${position}: ${fault}`)
    if ((batch.readInt16BE(21) & CONTROL) === 0) records += recordCountOf(batch)
    position = nextOffsetOf(batch)
    at += size
  }
  return { records, position }
}

/** Slower, record by record: what was aborted and sent again does not count. */
function countVisible(from: number, fetched: Fetched): Found {
  const records: TopicRecord[] = []
  const position = collectVisible(0, BigInt(from), 2n ** 62n, fetched, records)
  return { records: records.length, position: Number(position) }
}

/** Fetch v10, as test/support/kafka/read-topic.ts asks it. */
async function fetch(connection: WireConnection, topic: string, partition: number, position: number) {
  const request = new FieldWriter()
    .int32(-1) // not a replica
    .int32(500) // ms to wait
    .int32(1) // bytes at least
    .int32(FETCH_BYTES)
    .int8(READ_COMMITTED)
    .int32(0) // no fetch session
    .int32(-1)
    .int32(1)
    .string(topic)
    .int32(1)
    .int32(partition)
    .int32(-1) // leader epoch, not checked
    .int64(BigInt(position))
    .int64(-1n) // log start offset, of replicas only
    .int32(FETCH_BYTES)
    .int32(0) // forgotten topics
  const answer = await connection.request(FETCH, 10, request.finish())
  answer.int32() // throttle time
  check(topic, answer.int16())
  answer.int32() // session
  answer.int32()
  answer.string()
  answer.int32()
  answer.int32()
  check(`${topic}, partition ${partition}`, answer.int16())
  answer.int64() // high watermark
  const stableOffset = Number(answer.int64())
  answer.int64() // log start offset
  const aborted = answer.array(() => ({ producerId: answer.int64(), firstOffset: answer.int64() }))
  const fetched: Fetched = { aborted, bytes: answer.take(Math.max(0, answer.int32())) }
  return { stableOffset, fetched }
}
