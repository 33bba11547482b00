/** What the records of a topic tell of a log, on answers that a test makes up. */
import { describe, expect, it } from 'vitest'
import { BatchBuilder, crc32c, encodeHeaders } from '../../../broker/index.ts'
import { systemClock } from '../../../sync/clock.ts'
import type { AbortedTransaction, FetchAsk, FetchRequest } from '../../../sync/kafka/fetch-codec.ts'
import { GLANCE_BYTES_MAX, holds, lookBack, proofOf } from '../../../sync/kafka/look-back.ts'
import type { Lane } from '../../../sync/kafka/routes.ts'
import type { Session } from '../../../sync/kafka/session.ts'
import { correctTruncated } from '../../../sync/kafka/truncation.ts'
import { type BrokerNode, type KafkaWire, WireAnswerError } from '../../../sync/kafka/wire.ts'
import { recordProof } from '../../../sync/proof.ts'

const OWN = 'edge-a/11111111/events/0/'
const OTHER = 'edge-b/22222222/events/0/'

const lane: Lane = {
  stream: 'events',
  partition: 0,
  topic: 'events',
  topicId: 'id',
  origins: new Map([[OWN, 0]]),
  sources: new Set(),
  positions: new Map([[0, { next: 20, proof: 1 }]]),
  isBehind: false,
  leader: { id: 1, host: 'h', port: 1 },
  leaderEpoch: 0,
  last: null,
  sequence: 0,
  isKnown: false,
  at: -1,
  end: -1,
}

const PRODUCER = 1n
const TRANSACTIONAL = 0x10

/** One record a batch, each of a transaction; `origins[i]` stands at offset i, several of them one behind the other. */
function batchesOf(origins: readonly (string | readonly string[])[], valueBytes = 0): Buffer[] {
  const builder = new BatchBuilder()
  return origins.map((origin, offset) => {
    const headers = encodeHeaders(
      [origin].flat().map((value) => ({ key: 'hw.origin', value: Buffer.from(value) })),
    )
    builder.reset()
    builder.append(0, null, Buffer.alloc(valueBytes), headers)
    const batch = Buffer.from(builder.seal(offset))
    batch.writeInt16BE(TRANSACTIONAL, 21)
    batch.writeBigInt64BE(PRODUCER, 43)
    batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
    return batch
  })
}

function wireOf(batches: readonly Buffer[], aborted: readonly AbortedTransaction[] = []) {
  const asked: number[] = []
  const end = batches.length
  const wire = {
    lostConnections: 0,
    bounds: async () => ({ start: 0, stable: end, end }),
    epochEnds: async () => [0],
    fetch: async (_node: BrokerNode, { asks }: FetchRequest) => {
      const [{ topicId, partition, offset }] = asks as [FetchAsk]
      asked.push(offset)
      const records = Buffer.concat(batches.slice(offset, offset + 50))
      const ends = { lastStableOffset: end, logStartOffset: 0, errorCode: 0, answer: 'NONE' }
      return [{ topicId, partition, ...ends, aborted, records }]
    },
    addPartitionsToTxn: async () => {},
    endTxn: async () => {},
  } satisfies Partial<KafkaWire> as unknown as KafkaWire
  return { wire, asked }
}

const list = <T>(count: number, origin: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => origin(i))

describe('looking back', () => {
  it('finds the last record of this log from the end, and reads no more than it needs', async () => {
    const origins = [...list(3000, (i) => `${OWN}${i}`), ...list(120, (i) => `${OTHER}${i}`)]
    const { wire, asked } = wireOf(batchesOf(origins))
    expect(await lookBack(wire, lane, GLANCE_BYTES_MAX)).toEqual({ kind: 'found', next: 3000 })
    expect(Math.min(...asked)).toBe(2620)
  })

  it('says none where there is none, and unknown where it would have to read too much', async () => {
    expect(await lookBack(wireOf([]).wire, lane, 1)).toEqual({ kind: 'none' })
    const others = batchesOf(list(3000, (i) => `${OTHER}${i}`))
    expect(await lookBack(wireOf(others).wire, lane, Number.POSITIVE_INFINITY)).toEqual({ kind: 'none' })
    expect((await lookBack(wireOf(others).wire, lane, 20_000)).kind).toBe('unknown')
    const large = batchesOf([`${OWN}7`], 10 * GLANCE_BYTES_MAX)
    expect(await lookBack(wireOf(large).wire, lane, GLANCE_BYTES_MAX)).toEqual({ kind: 'found', next: 8 })
  })

  it('takes the origin that this edge gave a record, behind the one that it came with', async () => {
    const batches = batchesOf(list(8, (i) => [`${OTHER}${900 + i}`, `${OWN}${i}`]))
    const { wire } = wireOf(batches)
    expect(await lookBack(wire, lane, GLANCE_BYTES_MAX)).toEqual({ kind: 'found', next: 8 })
    expect(await holds(wire, lane, { at: 7, epoch: 0, position: { next: 8, proof: null } })).toBe(true)
    const passedOn = batchesOf(list(8, (i) => [`${OWN}${i}`, `${OTHER}${900 + i}`]))
    expect(await lookBack(wireOf(passedOn).wire, lane, GLANCE_BYTES_MAX)).toEqual({ kind: 'none' })
  })

  it('does not count records of an aborted transaction', async () => {
    const batches = batchesOf(list(20, (i) => `${OWN}${i}`))
    const { wire } = wireOf(batches, [{ producerId: 1n, firstOffset: 12 }])
    expect(await lookBack(wire, lane, GLANCE_BYTES_MAX)).toEqual({ kind: 'found', next: 12 })
    const last = { epoch: 0, position: { next: 20, proof: null } }
    expect(await holds(wire, lane, { ...last, at: 11 })).toBe(true)
    expect(await holds(wire, lane, { ...last, at: 12 })).toBe(false)
  })

  it('says unknown where this user may not read', async () => {
    const { wire } = wireOf(batchesOf([`${OWN}0`]))
    const refused = () => Promise.reject(new WireAnswerError('TOPIC_AUTHORIZATION_FAILED', 'Fetch'))
    const deaf = { ...wire, fetch: refused } as KafkaWire
    expect(await lookBack(deaf, lane, 1)).toMatchObject({ kind: 'unknown', reason: /ACL/ })
  })

  it('knows a record without the header by its proof', () => {
    const builder = new BatchBuilder()
    const headers = [
      { key: 'unit', value: Buffer.from('°C') },
      { key: 'none', value: null },
    ]
    builder.reset()
    builder.append(1_700_000_000_123, Buffer.from('key'), Buffer.alloc(300, 7), encodeHeaders(headers))
    builder.append(1_700_000_000_124, null, null, encodeHeaders([]))
    const batch = Buffer.from(builder.seal(40))
    const back = (timestamp: number, key: Buffer | null, value: Buffer | null, with_: typeof headers) =>
      proofOf({
        offset: 0,
        timestamp,
        key,
        value,
        headers: with_,
      })
    expect(back(1_700_000_000_123, Buffer.from('key'), Buffer.alloc(300, 7), headers)).toBe(
      recordProof(batch, 40),
    )
    expect(back(1_700_000_000_124, null, null, [])).toBe(recordProof(batch, 41))
  })
})

describe('records that the cluster lost', () => {
  const recovered = {
    partitions: new Map([['events/0', { next: 20, proof: null, place: 'here' }]]),
  }
  const routesOf = () => {
    const last = { at: 25, epoch: 0, position: { next: 20, proof: 1 } }
    return new Map([
      ['events', { stream: 'events', mapping: { kind: 'identity' }, lanes: [{ ...lane, last }] }],
    ])
  }
  const correct = (provenance: 'record' | 'none', origins: readonly string[]) => {
    const routes = routesOf()
    const producer = { transactionalId: 'id', producerId: 1n, epoch: 0 }
    const session = { wire: wireOf(batchesOf(origins)).wire, routes, producer } as unknown as Session
    return correctTruncated(session, systemClock, { transactionTimeoutMs: 1000, provenance }, recovered)
  }

  it('move the position to behind what is left, and what was acknowledged is told', async () => {
    const { partitions } = await correct(
      'record',
      list(10, (i) => `${OWN}${i}`),
    )
    expect(partitions.get('events/0')).toEqual({ next: 10, proof: null, place: 'here', acknowledged: 20 })
    const nothing = await correct('record', [])
    expect(nothing.partitions.get('events/0')).toMatchObject({ next: null, acknowledged: 20 })
  })

  it('without transactions are sent again though records written behind the loss are there', async () => {
    const [left, behind] = [list(10, (i) => `${OWN}${i}`), list(3, (i) => `${OWN}${20 + i}`)]
    const wire = { ...wireOf(batchesOf([...left, ...behind])).wire, epochEnds: async () => [10] }
    const routes = routesOf()
    const producer = { transactionalId: null, producerId: 1n, epoch: 0 }
    const session = { wire, routes, producer } as unknown as Session
    const options = { transactionTimeoutMs: 1000, provenance: 'record' } as const
    const { partitions } = await correctTruncated(session, systemClock, options, recovered)
    expect(partitions.get('events/0')).toMatchObject({ next: 10, acknowledged: 20 })
  })

  it('are waited for where nothing says which they are, and their stream with them', async () => {
    const { refused } = await correct(
      'none',
      list(10, (i) => `${OWN}${i}`),
    )
    expect(refused?.get('events')).toMatchObject({
      code: 'HW_POSITION_UNKNOWN',
      retryable: true,
      message: expect.stringMatching(
        /topic events, partition 0, lost records of events .*provenance is none/,
      ),
      hint: expect.stringContaining('headwater sync rewind'),
    })
  })
})
