import { spawnSync } from 'node:child_process'
import { compressionsAlgorithms } from '@platformatic/kafka'
import { CompressionTypes, Kafka, logLevel, type Transaction } from 'kafkajs'
import { expect, it } from 'vitest'
import { createTopic, describeWithKafka, readTopic, uniqueName } from './kafka/index.ts'

const hasKcat = spawnSync('kcat', ['-V']).status === 0

describeWithKafka('readTopic', ({ bootstrap }) => {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })

  async function newTopic(name: string, partitions = 1): Promise<string> {
    const topic = uniqueName(name)
    await createTopic(bootstrap, topic, partitions)
    return topic
  }

  /** Lets `work` use a producer: transactional, so that it can begin transactions one after the other. */
  async function withTransactions(work: (begin: () => Promise<Transaction>) => Promise<void>): Promise<void> {
    const options = { idempotent: true, transactionalId: uniqueName('t'), maxInFlightRequests: 1 }
    const producer = kafka.producer(options)
    await producer.connect()
    await work(() => producer.transaction())
    await producer.disconnect()
  }

  const put = (to: Transaction, topic: string, ...values: string[]) =>
    to.send({ topic, messages: values.map((value) => ({ value, partition: 0 })) })

  const read = async (topic: string, isolation: 'read_committed' | 'read_uncommitted', settled = false) =>
    (await readTopic(bootstrap, topic, { isolation, settled })).map(({ value }) => String(value))

  /** The same by librdkafka, a third implementation. */
  function readWithKcat(topic: string, isolation: string): string[] {
    const args = ['-C', '-q', '-e', '-b', bootstrap, '-t', topic, '-X', `isolation.level=${isolation}`]
    return spawnSync('kcat', args, { encoding: 'utf8' }).stdout.split('\n').filter(Boolean)
  }

  it('hides aborted transactions that interleave with committed ones', async () => {
    const topic = await newTopic('interleaved')
    await withTransactions(async (beginOne) => {
      await withTransactions(async (beginOther) => {
        const aborted = await beginOne()
        const committed = await beginOther()
        await put(aborted, topic, 'x1')
        await put(committed, topic, 'a1', 'a2')
        await put(aborted, topic, 'x2')
        await aborted.abort()
        await put(committed, topic, 'a3')
        // The same producer, after its abort: the marker ends what is hidden.
        const next = await beginOne()
        await put(next, topic, 'b1')
        await committed.commit()
        await next.commit()
        const last = await beginOther()
        await put(last, topic, 'x3')
        await last.abort()
      })
    })
    const committed = ['a1', 'a2', 'a3', 'b1']
    const all = ['x1', 'a1', 'a2', 'x2', 'a3', 'b1', 'x3']
    expect(await read(topic, 'read_committed', true)).toEqual(committed)
    expect(await read(topic, 'read_uncommitted')).toEqual(all)
    if (hasKcat) {
      expect(readWithKcat(topic, 'read_committed')).toEqual(committed)
      expect(readWithKcat(topic, 'read_uncommitted')).toEqual(all)
    }
  })

  it('ends before a transaction that is still open', async () => {
    const topic = await newTopic('open')
    await withTransactions(async (begin) => {
      const first = await begin()
      await put(first, topic, 'a')
      await first.commit()
      expect(await read(topic, 'read_committed', true)).toEqual(['a'])
      const open = await begin()
      await put(open, topic, 'b')
      expect(await read(topic, 'read_committed')).toEqual(['a'])
      expect(await read(topic, 'read_uncommitted')).toEqual(['a', 'b'])
      await open.commit()
      expect(await read(topic, 'read_committed', true)).toEqual(['a', 'b'])
    })
  })

  it('gives keys, tombstones, headers and timestamps as they were produced', async () => {
    const topic = await newTopic('fields')
    const producer = kafka.producer()
    await producer.connect()
    const headers = { b: ['1', '2'], a: Buffer.of(0, 255) }
    await producer.send({
      topic,
      messages: [
        { key: 'k', value: Buffer.alloc(0), headers, timestamp: '1700000000123' },
        { key: null, value: 'v', timestamp: '1699999999123' },
        { key: Buffer.of(0xff, 0), value: null, timestamp: '1700000000124' },
      ],
    })
    await producer.disconnect()
    expect(await readTopic(bootstrap, topic)).toEqual([
      {
        partition: 0,
        offset: 0n,
        timestamp: 1_700_000_000_123n,
        key: Buffer.from('k'),
        value: Buffer.alloc(0),
        headers: [
          { key: 'b', value: Buffer.from('1') },
          { key: 'b', value: Buffer.from('2') },
          { key: 'a', value: Buffer.of(0, 255) },
        ],
      },
      {
        partition: 0,
        offset: 1n,
        timestamp: 1_699_999_999_123n,
        key: null,
        value: Buffer.from('v'),
        headers: [],
      },
      {
        partition: 0,
        offset: 2n,
        timestamp: 1_700_000_000_124n,
        key: Buffer.of(0xff, 0),
        value: null,
        headers: [],
      },
    ])
  })

  it('reads every partition from its log start in order, over many fetches', async () => {
    const topic = await newTopic('many', 3)
    const producer = kafka.producer()
    await producer.connect()
    for (let partition = 0; partition < 3; partition++) {
      for (let round = 0; round < 20; round++) {
        // 19 MB in a partition: more than one answer holds.
        const value = (index: number) => `${partition}/${round * 100 + index}/`.padEnd(9_500, '.')
        const messages = Array.from({ length: 100 }, (_, index) => ({ partition, value: value(index) }))
        await producer.send({ topic, messages })
      }
    }
    await producer.disconnect()
    const admin = kafka.admin()
    await admin.connect()
    await admin.fetchTopicOffsets(topic) // deleteTopicRecords looks for leaders only among topics it knows
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '1500' }] })
    await admin.disconnect()
    const expected = [0, 1, 2].flatMap((partition) =>
      Array.from({ length: 2_000 }, (_, index) => `${partition}/${index}`),
    )
    const records = await readTopic(bootstrap, topic)
    const seen = records.map(({ value }) => String(value).split('/').slice(0, 2).join('/'))
    expect(seen).toEqual(expected.filter((_, index) => index < 2_000 || index >= 3_500))
    expect(
      records.every(({ partition, offset, value }) => String(value).startsWith(`${partition}/${offset}/`)),
    ).toBe(true)
  })

  it('reads batches compressed with gzip', async () => {
    const topic = await newTopic('gzip')
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({
      topic,
      compression: CompressionTypes.GZIP,
      messages: [{ value: 'a' }, { value: 'b' }],
    })
    await producer.disconnect()
    expect(await read(topic, 'read_committed')).toEqual(['a', 'b'])
  })

  // zstd is in Node since 22.15.
  const codecs = compressionsAlgorithms.zstd.available ? ['snappy', 'lz4', 'zstd'] : ['snappy', 'lz4']

  it.skipIf(!hasKcat)(`reads batches compressed with ${codecs.join(', ')} [kcat]`, async () => {
    const topic = await newTopic('compressed')
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index} ${'a'.repeat(index)}`)
    for (const codec of codecs) {
      const input = lines.map((line) => `${codec} ${line}\n`).join('')
      spawnSync('kcat', ['-P', '-b', bootstrap, '-t', topic, '-z', codec], { input })
    }
    const expected = codecs.flatMap((codec) => lines.map((line) => `${codec} ${line}`))
    expect(await read(topic, 'read_committed')).toEqual(expected)
  })

  it('says which topic it could not read in time', async () => {
    await expect(readTopic(bootstrap, 'missing', { timeoutMs: 200 })).rejects.toThrow(
      'missing was not read within 200 ms: missing: Kafka answered with error code 3',
    )
  })
})
