/** Reading topics of a real Kafka, compared with the tests' own reader. */
import { afterEach, expect, it } from 'vitest'
import { systemClock } from '../../../sync/clock.ts'
import { TopicOffsetGoneError } from '../../../sync/errors.ts'
import { Fetcher, type FetcherOptions } from '../../../sync/kafka/fetcher.ts'
import { openWire } from '../../../sync/kafka/platformatic-wire.ts'
import { EARLIEST, LATEST, WireConnectionError } from '../../../sync/kafka/wire.ts'
import {
  createTopic,
  deleteTopic,
  describeWithKafka,
  readTopic,
  uniqueName,
} from '../../support/kafka/index.ts'
import { settled } from './kafka-place.ts'
import { wireOptions, wrapWire } from './open-kafka.ts'
import { HandProducer } from './transactions.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

type Around = (method: string, ask: () => Promise<unknown>) => Promise<unknown>

function fetcher(bootstrap: string, options: Partial<FetcherOptions> = {}, around?: Around): Fetcher {
  const made = new Fetcher(
    { bootstrap, isolation: 'read_committed', ...options },
    {
      clock: systemClock,
      openWire: async () => {
        const wire = await openWire(wireOptions(bootstrap))
        return around === undefined ? wire : wrapWire(wire, around)
      },
    },
  )
  open.push(made)
  return made
}

async function producer(bootstrap: string, id: string): Promise<HandProducer> {
  const made = await HandProducer.open(bootstrap, id)
  open.push(made)
  return made
}

const values = (from: number, count: number, size = 10) =>
  Array.from({ length: count }, (_, i) => ({ key: `k${i % 3}`, value: String(from + i).padEnd(size, '.') }))

/** All of a topic between its ends, as `partition/offset value`. */
async function all(reader: Fetcher, topic: string): Promise<string[]> {
  const partitions = await reader.partitions(topic)
  const starts = await reader.offsets(new Map([[topic, partitions]]), EARLIEST)
  const ends = await reader.offsets(new Map([[topic, partitions]]), LATEST)
  const from = partitions.map((partition) => {
    const key = `${topic}/${partition}`
    return { topic, partition, offset: starts.get(key)!, until: ends.get(key)! }
  })
  const seen: string[] = []
  const positions = new Map(from.map(({ partition, offset }) => [partition, offset]))
  for await (const { partition, records, nextOffset } of reader.read(from)) {
    for (const record of records) {
      expect(record.offset).toBeGreaterThanOrEqual(positions.get(partition)!)
      positions.set(partition, record.offset + 1)
      seen.push(`${partition}/${record.offset} ${record.value}`)
    }
    positions.set(partition, nextOffset)
  }
  expect([...positions.values()]).toEqual(partitions.map((partition) => ends.get(`${topic}/${partition}`)))
  return seen.sort()
}

async function expected(bootstrap: string, topic: string, isolation: 'read_committed' | 'read_uncommitted') {
  const records = await readTopic(bootstrap, topic, { isolation })
  return records.map(({ partition, offset, value }) => `${partition}/${offset} ${value}`).sort()
}

/** Committed, aborted and interleaved transactions of two producers on two partitions, the last one left open. */
async function tangle(bootstrap: string, topic: string): Promise<void> {
  const [a, b] = [await producer(bootstrap, `${topic}-a`), await producer(bootstrap, `${topic}-b`)]
  await a.write(topic, 0, values(0, 5))
  await b.write(topic, 0, values(100, 5))
  await a.write(topic, 1, values(10, 3))
  await a.end(false)
  await b.write(topic, 0, values(110, 2))
  await b.end(true)
  await b.write(topic, 1, values(120, 4))
  await a.write(topic, 1, values(20, 4))
  await a.end(true)
  await b.end(false)
  await a.write(topic, 0, values(30, 2))
  await a.end(true)
  await settled(bootstrap, `${topic}-a`)
  await settled(bootstrap, `${topic}-b`)
  await b.write(topic, 0, values(130, 3))
}

describeWithKafka('a fetcher', ({ bootstrap }) => {
  it('sees under read_committed what was committed before the first open transaction', async () => {
    const topic = uniqueName('tangle')
    await createTopic(bootstrap, topic, 2)
    await tangle(bootstrap, topic)
    const seen = await all(fetcher(bootstrap), topic)
    expect(seen).toEqual(await expected(bootstrap, topic, 'read_committed'))
    expect(seen.filter((each) => each.startsWith('0/'))).toHaveLength(9)
    expect(seen.filter((each) => each.startsWith('1/'))).toHaveLength(4)
    const everything = await all(fetcher(bootstrap, { isolation: 'read_uncommitted' }), topic)
    expect(everything).toEqual(await expected(bootstrap, topic, 'read_uncommitted'))
    expect(everything).toHaveLength(28)
  })

  it('reads what answers of a few hundred bytes hold, partition after partition, from the middle of a batch', async () => {
    const topic = uniqueName('small')
    await createTopic(bootstrap, topic, 3)
    const writer = await producer(bootstrap, topic)
    for (let i = 0; i < 12; i++) await writer.write(topic, i % 3, values(i * 10, 10, 40))
    await writer.end(true)
    await settled(bootstrap, topic)
    const small = fetcher(bootstrap, { fetchBytesMax: 300, partitionBytesMax: 200 })
    const whole = await all(small, topic)
    expect(whole).toEqual(await expected(bootstrap, topic, 'read_committed'))
    const middle: number[] = []
    for await (const { records } of small.read([{ topic, partition: 1, offset: 15, until: 23 }])) {
      middle.push(...records.map(({ offset }) => offset))
    }
    expect(middle).toEqual([15, 16, 17, 18, 19, 20, 21, 22])
  })

  it.each([
    ['gzip', 'producer'],
    ['snappy', 'producer'],
    ['lz4', 'producer'],
    ['gzip', 'broker'],
    ['snappy', 'broker'],
    ['lz4', 'broker'],
  ] as const)('reads records that were compressed with %s (%s), headers and times too', async (codec, by) => {
    const topic = uniqueName(codec)
    // With its own setting the broker compresses anew, as Java does it.
    const config: Record<string, string> = by === 'producer' ? {} : { 'compression.type': codec }
    await createTopic(bootstrap, topic, 1, config)
    const writer = await producer(bootstrap, topic)
    const records = Array.from({ length: 200 }, (_, i) => ({
      key: i % 5 === 0 ? null : `key ${i}`,
      value: `value ${i} `.repeat(20),
      timestamp: 1_700_000_000_000 + i * 7,
      headers: { number: String(i) },
    }))
    await writer.write(topic, 0, records, by === 'producer' ? codec : 'none')
    await writer.end(true)
    await settled(bootstrap, topic)
    const seen: unknown[] = []
    for await (const batch of fetcher(bootstrap).read([{ topic, partition: 0, offset: 0, until: 200 }])) {
      for (const { key, value, timestamp, headers } of batch.records) {
        const fields = headers.map((header) => [header.key, String(header.value)])
        seen.push({
          key: key?.toString() ?? null,
          value: String(value),
          timestamp,
          headers: Object.fromEntries(fields),
        })
      }
    }
    expect(seen).toEqual(records)
  })

  it('waits for records to come, and stops quietly when it is told to', async () => {
    const topic = uniqueName('tail')
    await createTopic(bootstrap, topic, 1)
    const writer = await producer(bootstrap, topic)
    const stop = new AbortController()
    const seen: string[] = []
    const reading = (async () => {
      for await (const { records } of fetcher(bootstrap).read(
        [{ topic, partition: 0, offset: 0 }],
        stop.signal,
      )) {
        seen.push(...records.map(({ value }) => String(value)))
        if (seen.includes('two')) stop.abort()
      }
    })()
    await writer.write(topic, 0, [{ value: 'one' }])
    await writer.end(true)
    await writer.write(topic, 0, [{ value: 'two' }])
    await writer.end(true)
    await reading
    expect(seen).toEqual(['one', 'two'])
    const idle = new AbortController()
    const nothing = fetcher(bootstrap)
      .read([{ topic, partition: 0, offset: 4 }], idle.signal)
      .next()
    setTimeout(() => idle.abort(), 50)
    expect(await nothing).toMatchObject({ done: true })
  })

  it('goes on where it was after broken connections, moved leaders and a damaged answer', async () => {
    const topic = uniqueName('broken')
    await createTopic(bootstrap, topic, 2)
    const writer = await producer(bootstrap, topic)
    for (let i = 0; i < 20; i++) await writer.write(topic, i % 2, values(i * 10, 10, 40))
    await writer.end(true)
    await settled(bootstrap, topic)
    let fetches = 0
    const troubled = fetcher(
      bootstrap,
      { fetchBytesMax: 700, partitionBytesMax: 700 },
      async (method, ask) => {
        if (method !== 'fetch') return ask()
        const turn = fetches++ % 5
        if (turn === 1) throw new WireConnectionError('broken', bootstrap, false, 'cut', null)
        const parts = (await ask()) as { answer: string; records: Buffer }[]
        if (turn === 2) return parts.map((part) => ({ ...part, answer: 'NOT_LEADER_OR_FOLLOWER' }))
        // A flipped bit, as a link without TLS may let through.
        if (turn === 3) for (const { records } of parts) if (records.length > 80) records[75]! ^= 4
        return parts
      },
    )
    const seen = await all(troubled, topic)
    expect(seen).toEqual(await expected(bootstrap, topic, 'read_committed'))
    expect(seen).toHaveLength(200)
    expect(fetches).toBeGreaterThan(10)
  })

  it('says that an offset is not there, and what is', async () => {
    const topic = uniqueName('gone')
    await createTopic(bootstrap, topic, 1)
    const error = await fetcher(bootstrap)
      .read([{ topic, partition: 0, offset: 7 }])
      .next()
      .catch((thrown) => thrown)
    expect(error).toBeInstanceOf(TopicOffsetGoneError)
    expect(error).toMatchObject({ code: 'HW_TOPIC_OFFSET_GONE', offset: 7, start: 0, end: 0 })
  })

  it('does not read on in another topic of the same name', async () => {
    const topic = uniqueName('again')
    await createTopic(bootstrap, topic, 1)
    const writer = await producer(bootstrap, topic)
    await writer.write(topic, 0, [{ value: 'old' }])
    await writer.end(true)
    const reading = fetcher(bootstrap).read([{ topic, partition: 0, offset: 0 }])
    expect((await reading.next()).value.records).toHaveLength(1)
    await deleteTopic(bootstrap, topic)
    await createTopic(bootstrap, topic, 1)
    const rest = (async () => {
      for await (const { records } of reading) expect(records).toEqual([])
    })()
    await expect(rest).rejects.toMatchObject({ code: 'HW_TOPIC_RECREATED' })
  })

  it('gives up on a cluster that does not answer when its patience ends', async () => {
    const reader = fetcher('127.0.0.1:1', { patienceMs: 50 })
    await expect(reader.partitions('any')).rejects.toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE' })
    const next = reader.read([{ topic: 'any', partition: 0, offset: 0 }]).next()
    await expect(next).rejects.toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE' })
  })
})
