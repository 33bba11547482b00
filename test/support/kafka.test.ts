import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { chooseKafka } from './kafka/choice.ts'
import { containerArguments } from './kafka/docker.ts'
import {
  createTopic,
  deleteTopic,
  describeWithKafka,
  describeWithOwnKafka,
  type KafkaCluster,
  type KafkaServer,
  readTopic,
  startKafka,
  startKafkaCluster,
  uniqueName,
} from './kafka/index.ts'
import { withLock } from './kafka/lock.ts'

const send = async (bootstrap: string, topic: string, value: string) => {
  const producer = new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING }).producer()
  await producer.connect()
  await producer.send({ topic, acks: -1, messages: [{ value }] })
  await producer.disconnect()
}

const read = async (bootstrap: string, topic: string) =>
  (await readTopic(bootstrap, topic)).map(({ value }) => String(value))

describeWithKafka('topics of the shared Kafka', ({ bootstrap }) => {
  it('have the partitions and the configuration asked for', async () => {
    const topic = uniqueName('configured')
    await createTopic(bootstrap, topic, 3, { 'cleanup.policy': 'compact' })
    const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const resources = [{ type: 2, name: topic, configNames: ['cleanup.policy'] }]
    const { resources: configs } = await admin.describeConfigs({ resources, includeSynonyms: false })
    await admin.disconnect()
    expect(topics[0]!.partitions).toHaveLength(3)
    expect(configs[0]!.configEntries[0]!.configValue).toBe('compact')
  })

  it('cannot be created twice, but can after deletion', async () => {
    const topic = uniqueName('again')
    await createTopic(bootstrap, topic, 1)
    await expect(createTopic(bootstrap, topic, 1)).rejects.toThrow('already exists')
    await deleteTopic(bootstrap, topic)
    await createTopic(bootstrap, topic, 2)
  })
})

describeWithOwnKafka('a Kafka of its own', () => {
  let server: KafkaServer
  beforeAll(async () => {
    const properties = {
      'sasl.enabled.mechanisms': 'PLAIN',
      'plain.sasl.jaas.config': jaas('edge', 'secret'),
    }
    server = await startKafka({ listeners: [{ name: 'SASL', protocol: 'SASL_PLAINTEXT', properties }] })
  })
  afterAll(() => server?.stop())

  it('keeps its data and its address through SIGKILL and start', async () => {
    await createTopic(server.bootstrap, 'kept', 1)
    await send(server.bootstrap, 'kept', 'a')
    const before = server.pid
    await server.kill()
    expect(() => process.kill(before, 0)).toThrow('ESRCH')
    await server.start()
    expect(server.pid).not.toBe(before)
    expect(await read(server.bootstrap, 'kept')).toEqual(['a'])
    await expect(server.start()).rejects.toThrow('runs already')
  })

  it('starts again after it was killed by someone else', async () => {
    process.kill(server.pid, 'SIGKILL')
    await until(() =>
      server.start().then(
        () => true,
        () => false,
      ),
    )
    expect(await read(server.bootstrap, 'kept')).toEqual(['a'])
  })

  it('lets a client in at an extra listener only with its password', async () => {
    const admin = (password: string) =>
      new Kafka({
        brokers: [server.listeners.SASL!],
        sasl: { mechanism: 'plain', username: 'edge', password },
        logLevel: logLevel.NOTHING,
        retry: { retries: 0 },
      }).admin()
    const right = admin('secret')
    await right.connect()
    expect(await right.listTopics()).toContain('kept')
    await right.disconnect()
    await expect(admin('wrong').connect()).rejects.toThrow('Authentication failed')
  })

  it('is gone with its data after stop', async () => {
    const other = await startKafka()
    expect(existsSync(join(other.directory, 'data'))).toBe(true)
    await other.stop()
    expect(existsSync(other.directory)).toBe(false)
    expect(() => process.kill(other.pid, 0)).toThrow('ESRCH')
  })

  it('says with its log why it does not start', async () => {
    const port = Number(server.bootstrap.split(':')[1])
    await expect(startKafka({ port })).rejects.toThrow(/exited with 1; .*Address already in use/s)
  })
})

describeWithOwnKafka('a Kafka cluster of its own', () => {
  let cluster: KafkaCluster
  beforeAll(async () => {
    cluster = await startKafkaCluster(3)
  })
  afterAll(() => cluster?.stop())

  it('keeps an acknowledged record when the node that led its partition is killed', async () => {
    await createTopic(cluster.bootstrap, 'replicated', 3)
    for (const value of ['a', 'b', 'c', 'd']) await send(cluster.bootstrap, 'replicated', value)
    await cluster.nodes[0]!.kill()
    expect((await read(cluster.bootstrap, 'replicated')).sort()).toEqual(['a', 'b', 'c', 'd'])
    await cluster.nodes[0]!.start()
  })
})

describe('the choice of a Kafka', () => {
  it('follows HEADWATER_TEST_KAFKA', async () => {
    expect(await chooseKafka('off')).toMatchObject({ source: undefined, reason: 'HEADWATER_TEST_KAFKA=off' })
    expect((await chooseKafka('kafka.example:9092')).source).toMatchObject({ kind: 'given' })
    await expect(chooseKafka('yes')).rejects.toThrow('is not host:port, docker, java or off')
  })

  it('gives a container all properties and publishes it on the loopback alone', () => {
    const args = containerArguments(12345)
    expect(args).toContain('127.0.0.1:12345:9092')
    expect(args).toContain('KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:12345')
    expect(args).toContain('KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093')
    expect(args.at(-1)).toMatch(/^apache\/kafka:4\./)
  })
})

describe('the lock on the cache', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-lock-'))
  })
  afterEach(() => rm(directory, { recursive: true }))

  it('lets one in at a time and leaves nothing behind', async () => {
    let inside = 0
    let most = 0
    const work = async () => {
      most = Math.max(most, ++inside)
      await sleep(5)
      inside--
    }
    await Promise.all(Array.from({ length: 5 }, () => withLock(join(directory, 'lock'), 10_000, work)))
    expect(most).toBe(1)
    expect(await readdir(directory)).toEqual([])
  })

  it('is taken over from a process that is gone, not from one that lives', async () => {
    const path = join(directory, 'lock')
    await writeFile(path, '4194305') // above the largest pid of Linux
    await withLock(path, 10_000, async () => expect(existsSync(path)).toBe(true))
    await writeFile(path, String(process.ppid))
    await expect(withLock(path, 200, async () => {})).rejects.toThrow('another process holds')
  })
})

function jaas(user: string, password: string): string {
  return `org.apache.kafka.common.security.plain.PlainLoginModule required user_${user}="${password}";`
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (await isTrue()) return
    await sleep(20)
  }
  throw new Error('it did not come true')
}
