/** What a stream by identity and in transactions is promised, where it goes by key, or without transactions. */
import { afterEach, expect, it } from 'vitest'
import { systemClock } from '../../../sync/clock.ts'
import { KafkaAudit } from '../../../sync/kafka/audit.ts'
import type { KafkaUpstreamOptions } from '../../../sync/kafka/kafka-upstream.ts'
import { openWire } from '../../../sync/kafka/platformatic-wire.ts'
import { WireConnectionError } from '../../../sync/kafka/wire.ts'
import { rewindUpstream } from '../../../sync/rewind.ts'
import {
  createTopic,
  deleteTopic,
  describeWithKafka,
  readTopic,
  uniqueName,
} from '../../support/kafka/index.ts'
import { verify } from '../audit/audited-log.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { caughtUp, closeEdges, originsOf, startEdge, stopped } from './edge.ts'
import { readByOrigin, settled } from './kafka-place.ts'
import { kafkaOptions, openKafka, wireOptions } from './open-kafka.ts'

afterEach(closeEdges)

const OTHER_INCARNATION = '22222222-2222-4222-8222-222222222222'
const LOCAL_PARTITIONS = 3

function newLog(count: number, identity = testIdentity()): MemoryLog {
  const log = new MemoryLog(identity).addStream('events', LOCAL_PARTITIONS)
  grow(log, count)
  return log
}

function grow(log: MemoryLog, count: number): void {
  for (let partition = 0; partition < LOCAL_PARTITIONS; partition++) {
    log.appendMany('events', partition, count)
  }
}

function values(log: MemoryLog): string[] {
  return log.partitions().flatMap(({ partition, durableOffset }) => {
    return Array.from({ length: durableOffset }, (_, offset) => `events/${partition}/${offset}`)
  })
}

async function valuesUpstream(bootstrap: string, name: string): Promise<string[]> {
  await settled(bootstrap, `${name}.${testIdentity().edge}`)
  return (await readByOrigin(bootstrap, name, 'events')).map(({ value }) => value!)
}

const VARIANTS: readonly { title: string; mode: KafkaUpstreamOptions['mode']; topicPartitions: number }[] = [
  { title: 'by key', mode: 'exactly-once', topicPartitions: 2 },
  { title: 'without transactions', mode: 'fleet', topicPartitions: LOCAL_PARTITIONS },
  { title: 'by key and without transactions', mode: 'fleet', topicPartitions: 2 },
]

describeWithKafka('an edge and its place in Kafka', ({ bootstrap }) => {
  it('by key: refuses a restored backup, which neither writes nor stops the original', async () => {
    const name = uniqueName('restored')
    await createTopic(bootstrap, `${name}-events`, 2)
    const log = newLog(20)
    const original = startEdge(bootstrap, name, log)
    await caughtUp(original)
    const restored = startEdge(bootstrap, name, newLog(30, testIdentity('edge-a', OTHER_INCARNATION)))
    await stopped(restored)
    expect(restored.replicator.status().lastError).toMatchObject({ code: 'HW_CHECKPOINT_MISMATCH' })
    expect(restored.asked.get('initProducerId')).toBeUndefined()
    grow(log, 5)
    await caughtUp(original)
    expect(original.lines).toEqual([])
    expect(await valuesUpstream(bootstrap, name)).toEqual(values(log))
  })

  it.each(VARIANTS)(
    '$title: leaves no hole in a topic that was deleted and made anew between two rounds',
    async ({ mode, topicPartitions }) => {
      const name = uniqueName('swapped')
      await createTopic(bootstrap, `${name}-events`, topicPartitions)
      const log = newLog(60)
      const edge = startEdge(bootstrap, name, log, { options: { mode } })
      await caughtUp(edge)
      await deleteTopic(bootstrap, `${name}-events`)
      await createTopic(bootstrap, `${name}-events`, topicPartitions)
      // Its leaders take records: nothing but the offsets that they give tells the two topics apart.
      expect(await readTopic(bootstrap, `${name}-events`)).toEqual([])
      grow(log, 5)
      await caughtUp(edge)
      const origins = (await readTopic(bootstrap, `${name}-events`, { settled: true })).map(({ headers }) =>
        headers.find(({ key }) => key === 'hw.origin')!.value!.toString(),
      )
      const expected = values(log).map((value) => `edge-a/11111111/${value}`)
      expect([...new Set(origins)].sort()).toEqual(expected.sort())
      // Without transactions the round that met the new topic stands in it twice.
      expect(origins.length - expected.length).toBeLessThanOrEqual(mode === 'fleet' ? 15 : 0)
    },
  )

  it.each(VARIANTS)('$title: goes on from where a rewind put it', async ({ mode, topicPartitions }) => {
    const name = uniqueName('rewound')
    await createTopic(bootstrap, `${name}-events`, topicPartitions)
    const log = newLog(20)
    const open = () => openKafka(bootstrap, name, { options: { mode } })
    const first = open()
    await first.recover(log.identity, log.partitions())
    await first.send(roundFrom(log, new Map()))
    await first.close()
    const moving = open()
    const change = { stream: 'events', to: new Map([[1, 7]]) }
    await rewindUpstream(log, log.partitions(), moving, null, async () => {}, change)
    await moving.close()
    const next = open()
    const { partitions } = await next.recover(log.identity, log.partitions())
    await next.close()
    expect([...partitions.values()].map((found) => found.next)).toEqual([20, 7, 20])
  })

  it('by key: stops with an alarm when a clone took over', async () => {
    const name = uniqueName('clone')
    await createTopic(bootstrap, `${name}-events`, 2)
    const log = newLog(10)
    const first = startEdge(bootstrap, name, log)
    await caughtUp(first)
    const copy = newLog(10)
    const clone = startEdge(bootstrap, name, copy)
    await caughtUp(clone)
    grow(log, 10)
    await stopped(first)
    expect(first.replicator.status().lastError).toMatchObject({ code: 'HW_FENCED' })
    grow(copy, 5)
    await caughtUp(clone)
    expect(await valuesUpstream(bootstrap, name)).toEqual(values(copy))
  })

  it('without transactions: does not notice a clone, but for what the verification finds', async () => {
    const name = uniqueName('clone')
    await createTopic(bootstrap, `${name}-events`, LOCAL_PARTITIONS)
    const options = { mode: 'fleet' } as const
    const log = newLog(10)
    const first = startEdge(bootstrap, name, log, { options })
    await caughtUp(first)
    const copy = newLog(10)
    const clone = startEdge(bootstrap, name, copy, { options })
    await caughtUp(clone)
    copy.append('events', 0, [{ key: 'k3', value: 'of the clone' }])
    await caughtUp(clone)
    grow(log, 10)
    await caughtUp(first)
    expect([first, clone].map(({ replicator }) => replicator.status().state)).toEqual(['idle', 'idle'])
    const source = new KafkaAudit(kafkaOptions(bootstrap, name, options), {
      clock: systemClock,
      openWire: () => openWire(wireOptions(bootstrap)),
    })
    const { isWhole, partitions } = await verify(log, source)
    await source.close()
    expect(isWhole).toBe(false)
    // One of the two stands there as offset 10: the other came twice.
    const faults = partitions.map(({ duplicated, different }) => [duplicated.records, different.records])
    expect(faults).toEqual([
      [1, 1],
      [0, 0],
      [0, 0],
    ])
  })

  it('without transactions: sends again what was acknowledged in a round that failed, and lost since', async () => {
    const name = uniqueName('lost')
    await createTopic(bootstrap, `${name}-events`, LOCAL_PARTITIONS)
    const log = newLog(50)
    let isLinkDown = false
    let isLost = false
    const upstream = openKafka(bootstrap, name, {
      options: { mode: 'fleet' },
      resendMs: 0,
      async around(method, ask) {
        if (method === 'offsetCommit' && isLinkDown) {
          throw new WireConnectionError('broken', 'kafka', false, 'the link is down', null)
        }
        const answer = await ask()
        return method === 'epochEnds' && isLost ? (answer as number[]).map(() => 0) : answer
      },
    })
    const recovering = async () => {
      const { partitions } = await upstream.recover(log.identity, log.partitions())
      return new Map([...partitions].map(([key, { next }]) => [key, next ?? 0]))
    }
    const copies = async () => (await originsOf(bootstrap, name, log)).map((origins) => origins.length)
    await recovering()
    isLinkDown = true
    await expect(upstream.send(roundFrom(log, new Map()))).rejects.toMatchObject({ retryable: true })
    // There still: not sent again.
    await expect(upstream.send(roundFrom(log, await recovering()))).rejects.toMatchObject({ retryable: true })
    expect(await copies()).toEqual([50, 50, 50])
    isLinkDown = false
    isLost = true
    await upstream.send(roundFrom(log, await recovering()))
    await upstream.close()
    expect(await copies()).toEqual([100, 100, 100])
  })
})
