/**
 * One topic of several that Kafka refuses. The other streams go on, exactly once; the refused one is told with a way out, and goes on by
 * itself when the cause is gone: then a reader sees each of its records once and in order, too.
 */
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  ConfigResourceTypes,
  ResourcePatternTypes,
} from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createCredentials } from '../../../sync/kafka/create.ts'
import {
  createTopic,
  deleteTopic,
  describeWithKafka,
  describeWithOwnKafka,
  growTopic,
  type KafkaServer,
  readTopic,
  startKafka,
  uniqueName,
  withAdmin,
} from '../../support/kafka/index.ts'
import { testSeed } from '../../support/random.ts'
import { MemoryLog } from '../memory-log.ts'
import { seededRandom } from '../stored-batches.ts'
import { caughtUp, closeEdges, type Edge, startEdge, until } from './edge.ts'
import { settled } from './kafka-place.ts'
import type { OpenOptions } from './open-kafka.ts'

afterEach(closeEdges)

const newLog = () => new MemoryLog().addStream('events', 2).addStream('alarms', 1).addStream('traces', 1)

function grow(log: MemoryLog, count: number): void {
  for (const { stream, partition } of log.partitions()) log.appendMany(stream, partition, count)
}

const refusalOf = ({ replicator }: Edge, stream: string) =>
  replicator.status().refused.find((refusal) => refusal.stream === stream)

/** A stream is refused with this code, and all others are upstream. */
async function refusedAlone(edge: Edge, stream: string, code: string): Promise<void> {
  await until(edge, `${stream} refused with ${code} alone`, () => {
    const { state, partitions, refused } = edge.replicator.status()
    const others = partitions.filter((partition) => partition.stream !== stream)
    const isAlone = refused.length === 1 && refused[0]!.stream === stream && refused[0]!.code === code
    return state === 'idle' && isAlone && others.every(({ lagRecords }) => lagRecords === 0)
  })
}

/** What a reader under read_committed sees of a stream is its log: each record once, in order. */
async function expectExact(bootstrap: string, name: string, log: MemoryLog, stream: string): Promise<void> {
  await settled(bootstrap, `${name}.${log.identity.edge}`)
  const records = await readTopic(bootstrap, `${name}-${stream}`, { settled: true })
  for (const { partition, durableOffset } of log.partitions().filter((state) => state.stream === stream)) {
    const seen = records
      .filter((record) => record.partition === partition)
      .map(({ value }) => value!.toString())
    const values = Array.from({ length: durableOffset }, (_, i) => `${stream}/${partition}/${i}`)
    expect(seen, `${stream}/${partition}`).toEqual(values)
  }
}

async function expectAllExact(bootstrap: string, name: string, log: MemoryLog): Promise<void> {
  for (const { stream } of log.streams()) await expectExact(bootstrap, name, log, stream)
}

describeWithKafka('an edge one of whose topics is refused', ({ bootstrap }) => {
  it('goes on with the others where one is missing and may not be created, and with it once it is there', async () => {
    const name = uniqueName('missing')
    await createTopic(bootstrap, `${name}-events`, 2)
    await createTopic(bootstrap, `${name}-traces`, 1)
    const log = newLog()
    grow(log, 30)
    const edge = startEdge(bootstrap, name, log, { options: { createTopics: false } })
    await refusedAlone(edge, 'alarms', 'HW_TOPIC_MISSING')
    expect(refusalOf(edge, 'alarms')!.hint).toContain(`--create --topic ${name}-alarms --partitions 1`)
    grow(log, 30)
    await refusedAlone(edge, 'alarms', 'HW_TOPIC_MISSING')
    expect(edge.replicator.positions().get('alarms/0') ?? 0).toBe(0)
    await createTopic(bootstrap, `${name}-alarms`, 1)
    await caughtUp(edge)
    expect(edge.replicator.status().refused).toEqual([])
    await expectAllExact(bootstrap, name, log)
  })

  it('goes on with the others where one has too few partitions, and with it once it has been given more', async () => {
    const name = uniqueName('few')
    await createTopic(bootstrap, `${name}-events`, 1)
    const log = newLog()
    grow(log, 30)
    const edge = startEdge(bootstrap, name, log, { options: { partitioning: 'identity' } })
    await refusedAlone(edge, 'events', 'HW_PARTITION_MISMATCH')
    await growTopic(bootstrap, `${name}-events`, 2)
    await caughtUp(edge)
    await expectAllExact(bootstrap, name, log)
  })

  it('goes on with the others when one is deleted while it runs', async () => {
    const name = uniqueName('deleted')
    for (const [stream, partitions] of Object.entries({ events: 2, alarms: 1, traces: 1 })) {
      await createTopic(bootstrap, `${name}-${stream}`, partitions)
    }
    const log = newLog()
    grow(log, 30)
    const edge = startEdge(bootstrap, name, log, { options: { createTopics: false } })
    await caughtUp(edge)
    await deleteTopic(bootstrap, `${name}-alarms`)
    grow(log, 30)
    await refusedAlone(edge, 'alarms', 'HW_TOPIC_MISSING')
    await expectExact(bootstrap, name, log, 'events')
    await createTopic(bootstrap, `${name}-alarms`, 1)
    await caughtUp(edge)
    // The new topic has nothing of what the old one had: all that the log holds is there.
    await expectAllExact(bootstrap, name, log)
  })

  for (const mode of ['exactly-once', 'fleet'] as const) {
    it(`goes on with the others where one does not take a record of its size, ${mode}`, async () => {
      const name = uniqueName('large')
      await createTopic(bootstrap, `${name}-alarms`, 1, { 'max.message.bytes': '3000' })
      const log = newLog()
      const edge = startEdge(bootstrap, name, log, { options: { mode } })
      grow(log, 200)
      await caughtUp(edge)
      log.append('alarms', 0, [{ value: 'x'.repeat(5000) }])
      grow(log, 200)
      await refusedAlone(edge, 'alarms', 'HW_UPSTREAM_RECORD_TOO_LARGE')
      expect(refusalOf(edge, 'alarms')).toMatchObject({
        message: expect.stringMatching(/alarms\/0 at offset 200 /),
        hint: expect.stringContaining('max.message.bytes'),
      })
      await expectExact(bootstrap, name, log, 'events')
      await withAdmin(bootstrap, (admin) =>
        admin.alterConfigs({
          validateOnly: false,
          resources: [
            {
              type: ConfigResourceTypes.TOPIC,
              name: `${name}-alarms`,
              configEntries: [{ name: 'max.message.bytes', value: '1000000' }],
            },
          ],
        }),
      )
      await caughtUp(edge)
      await expectExact(bootstrap, name, log, 'events')
      const alarms = await readTopic(bootstrap, `${name}-alarms`, { settled: true })
      expect(alarms.map(({ value }) => value!.length > 100 || value!.toString())).toEqual(
        Array.from({ length: 401 }, (_, i) => i === 200 || `alarms/0/${i}`),
      )
    })
  }

  it('goes on with the others where the log of one ends before its checkpoint, and with it never by itself', async () => {
    const name = uniqueName('ahead')
    const log = newLog()
    grow(log, 30)
    const before = startEdge(bootstrap, name, log)
    await caughtUp(before)
    await closeEdges()
    // The same log, but that the stream of alarms lost its end.
    const damaged = new MemoryLog().addStream('events', 2).addStream('alarms', 1).addStream('traces', 1)
    for (const { stream, partition } of damaged.partitions()) {
      damaged.appendMany(stream, partition, stream === 'alarms' ? 20 : 30)
    }
    for (const [stream, partition] of [
      ['events', 0],
      ['events', 1],
      ['traces', 0],
    ] as const) {
      damaged.appendMany(stream, partition, 30)
    }
    const edge = startEdge(bootstrap, name, damaged, { cache: before.cache })
    await refusedAlone(edge, 'alarms', 'HW_CHECKPOINT_AHEAD')
    expect(refusalOf(edge, 'alarms')!.retryAt).toBeNull()
    expect(edge.replicator.positions().has('alarms/0')).toBe(false)
    await expectExact(bootstrap, name, damaged, 'events')
    // What is there of the alarms is what was there.
    await expectExact(bootstrap, name, log, 'alarms')
  })
})

const PASSWORD = 'edge-secret'

describeWithOwnKafka('an edge whose user is not allowed everything', () => {
  let kafka: KafkaServer

  beforeAll(async () => {
    const login = `org.apache.kafka.common.security.plain.PlainLoginModule required user_edge="${PASSWORD}";`
    kafka = await startKafka({
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        // The test itself, and the broker.
        'super.users': 'User:ANONYMOUS',
        'allow.everyone.if.no.acl.found': 'true',
      },
      listeners: [
        {
          name: 'EDGE',
          protocol: 'SASL_PLAINTEXT',
          properties: { 'sasl.enabled.mechanisms': 'PLAIN', 'plain.sasl.jaas.config': login },
        },
      ],
    })
  }, 120_000)
  afterAll(() => kafka?.stop())

  function start(name: string, log: MemoryLog, open: OpenOptions = {}): Edge {
    const sasl = { mechanism: 'PLAIN', username: 'edge', passwordEnv: 'EDGE_PASSWORD' } as const
    const access = { name: 'kafka', bootstrap: [kafka.listeners.EDGE!], sasl }
    const credentials = createCredentials(access, { env: { EDGE_PASSWORD: PASSWORD } })
    return startEdge(kafka.listeners.EDGE!, name, log, { ...open, wire: { credentials } })
  }

  const acl = (topic: string, operation: AclOperationTypes, permissionType: AclPermissionTypes) => ({
    resourceType: AclResourceTypes.TOPIC,
    resourceName: topic,
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:edge',
    host: '*',
    operation,
    permissionType,
  })

  /** A topic on which this operation is denied has rules, and what rules do not allow is denied: all else is allowed. */
  const deny = (topic: string, operation: AclOperationTypes) =>
    withAdmin(kafka.bootstrap, (admin) =>
      admin.createAcls({
        acl: [
          acl(topic, AclOperationTypes.ALL, AclPermissionTypes.ALLOW),
          acl(topic, operation, AclPermissionTypes.DENY),
        ],
      }),
    )
  const allow = (topic: string) =>
    withAdmin(kafka.bootstrap, (admin) =>
      admin.deleteAcls({ filters: [acl(topic, AclOperationTypes.ANY, AclPermissionTypes.ANY)] }),
    )

  const OPERATIONS = { Describe: 'DESCRIBE', Write: 'WRITE', Read: 'READ' } as const

  for (const mode of ['exactly-once', 'fleet'] as const) {
    describe(mode, () => {
      for (const [named, operation] of Object.entries(OPERATIONS)) {
        it(`goes on with the others where ${named} is denied on one topic, and with it once it is allowed`, async () => {
          const name = uniqueName('denied')
          const topic = `${name}-alarms`
          await createTopic(kafka.bootstrap, topic, 1)
          await deny(topic, AclOperationTypes[operation])
          const log = newLog()
          grow(log, 30)
          const edge = start(name, log, { options: { mode } })
          await refusedAlone(edge, 'alarms', 'HW_TOPIC_NOT_ALLOWED')
          expect(refusalOf(edge, 'alarms')).toMatchObject({
            message: expect.stringContaining(topic),
            hint: expect.stringContaining(`--operation ${named}`),
          })
          grow(log, 30)
          await refusedAlone(edge, 'alarms', 'HW_TOPIC_NOT_ALLOWED')
          await expectExact(kafka.bootstrap, name, log, 'events')
          await allow(topic)
          await caughtUp(edge)
          await expectAllExact(kafka.bootstrap, name, log)
        })
      }
    })
  }

  it('is exact when permissions come and go in the middle of a run', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const name = uniqueName('run')
    const log = newLog()
    const edge = start(name, log)
    grow(log, 10)
    await caughtUp(edge)
    const denied = new Set<string>()
    for (let round = 0; round < 12; round++) {
      const stream = ['alarms', 'traces', 'events'][Math.floor(random() * 3)]!
      const topic = `${name}-${stream}`
      // Records arrive before, while and after the permission changes.
      grow(log, 5)
      if (denied.delete(stream)) await allow(topic)
      else if (denied.size < 2) {
        denied.add(stream)
        await deny(topic, random() < 0.5 ? AclOperationTypes.WRITE : AclOperationTypes.DESCRIBE)
      }
      grow(log, 5)
      await until(edge, `all but ${[...denied]} upstream (seed ${seed})`, () => {
        const { partitions } = edge.replicator.status()
        return partitions.every((state) => denied.has(state.stream) || state.lagRecords === 0)
      })
    }
    for (const stream of denied) await allow(`${name}-${stream}`)
    await caughtUp(edge)
    await expectAllExact(kafka.bootstrap, name, log)
  }, 120_000)
})
