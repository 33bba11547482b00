import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  createTopic,
  describeWithKafka,
  describeWithOwnKafka,
  type KafkaServer,
  readTopic,
  startKafka,
  uniqueName,
} from './kafka/index.ts'

const client = (bootstrap: string) => new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })

/** Produces one transaction of `values` to one partition and ends it as told. */
async function transaction(bootstrap: string, topic: string, values: string[], end: 'commit' | 'abort') {
  const producer = client(bootstrap).producer({
    idempotent: true,
    transactionalId: uniqueName('t'),
    maxInFlightRequests: 1,
  })
  await producer.connect()
  const open = await producer.transaction()
  await open.send({ topic, messages: values.map((value) => ({ value, partition: 0 })) })
  await open[end]()
  await producer.disconnect()
}

const values = async (bootstrap: string, topic: string, isolation?: 'read_committed' | 'read_uncommitted') =>
  (await readTopic(bootstrap, topic, isolation ? { isolation } : {})).map(({ value }) => value?.toString())

describeWithKafka('reading a topic of the shared Kafka', (kafka) => {
  it('shows records of committed transactions and hides those of aborted ones', async () => {
    const topic = uniqueName('committed')
    await createTopic(kafka.bootstrap, topic, 1)
    await transaction(kafka.bootstrap, topic, ['a', 'b'], 'commit')
    await transaction(kafka.bootstrap, topic, ['x', 'y'], 'abort')
    await transaction(kafka.bootstrap, topic, ['c'], 'commit')
    expect(await values(kafka.bootstrap, topic)).toEqual(['a', 'b', 'c'])
    expect(await values(kafka.bootstrap, topic, 'read_uncommitted')).toEqual(['a', 'b', 'x', 'y', 'c'])
  })
})

describeWithOwnKafka('a Kafka of its own', () => {
  let server: KafkaServer
  beforeAll(async () => {
    server = await startKafka()
  })
  afterAll(() => server?.stop())

  it('keeps its data and its address through SIGKILL and start', async () => {
    await createTopic(server.bootstrap, 'kept', 1)
    await transaction(server.bootstrap, 'kept', ['a'], 'commit')
    const before = server.pid
    await server.kill()
    await server.start()
    expect(server.pid).not.toBe(before)
    expect(await values(server.bootstrap, 'kept')).toEqual(['a'])
  })
})
