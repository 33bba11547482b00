/**
 * What happens among the brokers of a cluster while an edge sends: leaders and coordinators move and are killed, an unclean
 * election throws records away, a disk loses its tail. Afterwards a reader sees each record once and in order.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import {
  COORDINATOR_TOPICS,
  coordinatorOf,
  describeWithOwnKafka,
  type KafkaCluster,
  moveLeader,
  type PartitionPlace,
  placeOf,
  readTopic,
  startKafka,
  startKafkaCluster,
  uniqueName,
  untilPlace,
  withAdmin,
} from '../../support/kafka/index.ts'
import { MemoryLog } from '../memory-log.ts'
import { MemoryCache } from '../replicator-setup.ts'
import { cutLastBatches } from './disk.ts'
import { caughtUp, close, closeEdges, expectExact, startEdge } from './edge.ts'
import { readByOrigin, settled } from './kafka-place.ts'

afterEach(closeEdges)

function newLog(partitions: number, count: number): MemoryLog {
  const log = new MemoryLog().addStream('events', partitions)
  grow(log, count)
  return log
}

function grow(log: MemoryLog, count: number): void {
  for (const { partition } of log.partitions()) log.appendMany('events', partition, count)
}

type When = 'before' | 'meanwhile' | 'after'

/** Calls `act` once, around the next request of this name after `arm`. */
function interruption(act: () => Promise<unknown>) {
  let armed: { method: string; when: When } | null = null
  return {
    arm: (method: string, when: When) => {
      armed = { method, when }
    },
    isArmed: () => armed !== null,
    around: async (method: string, ask: () => Promise<unknown>) => {
      if (armed?.method !== method) return ask()
      const { when } = armed
      armed = null
      if (when === 'before') await act()
      const asked = ask()
      asked.catch(() => {})
      if (when === 'meanwhile') await act()
      const answer = await asked
      if (when === 'after') await act()
      return answer
    },
  }
}

describeWithOwnKafka('a cluster of three brokers', () => {
  let cluster: KafkaCluster
  beforeAll(async () => {
    cluster = await startKafkaCluster(3)
  })
  afterAll(() => cluster?.stop())

  const node = (id: number) => cluster.nodes[id - 1]!

  it('is exact when a leader moves between two rounds and in the middle of one', async () => {
    const { bootstrap } = cluster
    const name = uniqueName('leader')
    const log = newLog(2, 20)
    let to = 1
    const move = async () => {
      const { leader } = await placeOf(bootstrap, `${name}-events`)
      to = (leader % 3) + 1
      await moveLeader(bootstrap, `${name}-events`, 0, to)
    }
    const moving = interruption(move)
    const edge = startEdge(bootstrap, name, log, { around: moving.around })
    await caughtUp(edge)
    await move()
    grow(log, 20)
    await caughtUp(edge)
    for (const [method, when] of [
      ['produce', 'before'],
      ['produce', 'after'],
      ['txnOffsetCommit', 'after'],
      ['endTxn', 'after'],
    ] as const) {
      moving.arm(method, when)
      grow(log, 20)
      await caughtUp(edge)
      expect(moving.isArmed()).toBe(false)
    }
    // Not one of these is an outage.
    expect(edge.lines.filter((line) => !line.startsWith('info'))).toEqual([])
    expect((await placeOf(bootstrap, `${name}-events`)).leader).toBe(to)
    await expectExact(bootstrap, name, log)
  })

  it.each([
    ['the leader', 3, 'produce', 'before'],
    ['the coordinator of its transaction', 1, 'endTxn', 'meanwhile'],
    ['the coordinator of its group', 2, 'txnOffsetCommit', 'before'],
  ] as const)(
    'is exact when the broker of %s is killed in the middle of a round',
    async (_what, id, method, when) => {
      const { bootstrap } = cluster
      const name = uniqueName('killed')
      const log = newLog(2, 20)
      const killing = interruption(() => node(id).kill())
      const edge = startEdge(bootstrap, name, log, { around: killing.around })
      await caughtUp(edge)
      // A broker for each part: the transaction's coordinator, the group's, and the leader.
      await moveLeader(bootstrap, COORDINATOR_TOPICS.transaction, 0, 1)
      await moveLeader(bootstrap, COORDINATOR_TOPICS.group, 0, 2)
      for (const partition of [0, 1]) await moveLeader(bootstrap, `${name}-events`, partition, 3)
      expect(await coordinatorOf(bootstrap, 'transaction', `${name}.edge-a`)).toBe(1)
      expect(await coordinatorOf(bootstrap, 'group', `${name}.edge-a`)).toBe(2)
      grow(log, 20)
      await caughtUp(edge)
      killing.arm(method, when)
      grow(log, 20)
      await caughtUp(edge)
      expect(killing.isArmed()).toBe(false)
      grow(log, 20)
      await caughtUp(edge)
      await node(id).start()
      grow(log, 20)
      await caughtUp(edge)
      await expectExact(bootstrap, name, log)
    },
    60_000,
  )

  /** A topic of which broker 3 takes over, with an older log, what broker 2 alone has: partitions on both of them. */
  async function createUnclean(topic: string, replicas: readonly number[][]): Promise<void> {
    const replicaAssignment = replicas.map((ids, partition) => ({ partition, replicas: [...ids] }))
    const configEntries = [
      { name: 'unclean.leader.election.enable', value: 'true' },
      { name: 'min.insync.replicas', value: '1' },
    ]
    await withAdmin(cluster.bootstrap, (admin) =>
      admin.createTopics({ topics: [{ topic, replicaAssignment, configEntries }], waitForLeaders: true }),
    )
  }

  const untilEach = async (
    topic: string,
    partitions: readonly number[],
    what: string,
    isSo: (place: PartitionPlace) => boolean,
  ) => {
    for (const partition of partitions) await untilPlace(cluster.bootstrap, topic, what, isSo, partition)
  }

  /** Broker 2 is alone with what `send` sends, and is killed; 3 leads with what it has. */
  async function electUnclean(
    topic: string,
    partitions: readonly number[],
    send: () => Promise<void>,
  ): Promise<void> {
    // The markers, too, are on both: the commit is complete and they were in sync.
    await untilEach(topic, partitions, 'both are in sync', ({ inSync }) => inSync.length === 2)
    await node(3).kill()
    await untilEach(topic, partitions, '2 is alone', ({ inSync }) => inSync.join() === '2')
    await send()
    await node(2).kill()
    await node(3).start()
    await untilEach(topic, partitions, '3 leads', ({ leader }) => leader === 3)
  }

  it('sends again what an unclean election threw away, and says what is gone for good', async () => {
    const { bootstrap } = cluster
    const name = uniqueName('unclean')
    const topic = `${name}-events`
    await createUnclean(topic, [
      [2, 3],
      [2, 3],
    ])
    const log = newLog(2, 20)
    const cache = new MemoryCache()
    const edge = startEdge(bootstrap, name, log, { cache })
    await caughtUp(edge)
    await expectExact(bootstrap, name, log)
    await electUnclean(topic, [0, 1], async () => {
      for (const count of [20, 10]) {
        grow(log, count)
        await caughtUp(edge)
      }
      await close(edge)
    })
    log.dropBelow('events', 1, 40)
    grow(log, 5)
    const again = startEdge(bootstrap, name, log, { cache })
    await caughtUp(again)
    await node(2).start()
    const told = again.lines.join('\n')
    expect(told).toMatch(/upstream lost 30 acknowledged records of events\/0: 30 are sent again$/m)
    expect(told).toMatch(/upstream lost 30 acknowledged records of events\/1: 10 are sent again, 20 are gone/)
    const values = (await readTopic(bootstrap, topic, { settled: true })).map(
      ({ partition, value }) => `${partition}:${value}`,
    )
    const expected = (partition: number, ...ranges: [number, number][]) =>
      ranges.flatMap(([from, to]) =>
        Array.from({ length: to - from }, (_, i) => `${partition}:events/${partition}/${from + i}`),
      )
    expect(values).toEqual([...expected(0, [0, 55]), ...expected(1, [0, 20], [40, 55])])
  }, 60_000)

  it.each(['exactly-once', 'fleet'] as const)(
    'by key: sends again what it threw away of one partition of the topic, and nothing to the other, in mode %s',
    async (mode) => {
      const { bootstrap } = cluster
      const name = uniqueName('uncleankey')
      const topic = `${name}-events`
      await createUnclean(topic, [
        [2, 3],
        [1, 3],
      ])
      const log = newLog(3, 20)
      const edge = startEdge(bootstrap, name, log, { options: { mode } })
      await caughtUp(edge)
      await settled(bootstrap, `${name}.edge-a`)
      await electUnclean(topic, [0], async () => {
        for (const count of [20, 10]) {
          grow(log, count)
          await caughtUp(edge)
        }
      })
      grow(log, 5)
      // It runs on, and finds out by itself.
      await caughtUp(edge)
      await node(2).start()
      expect(edge.lines.join('\n')).toMatch(
        /upstream lost some acknowledged records of events\/0 between \d+ and 50: they are sent again/,
      )
      await settled(bootstrap, `${name}.edge-a`)
      const found = (await readByOrigin(bootstrap, name, 'events')).map(({ value }) => value!)
      const expected = log
        .partitions()
        .flatMap(({ partition, durableOffset }) =>
          Array.from({ length: durableOffset }, (_, offset) => `events/${partition}/${offset}`),
        )
      expect(found).toEqual(expected)
    },
    120_000,
  )
})

describeWithOwnKafka('a broker whose disk lost the end of a partition', () => {
  it('has each record once, where the end of a transaction was lost but not its records', async () => {
    const server = await startKafka()
    try {
      const name = uniqueName('tail')
      const log = newLog(1, 20)
      const edge = startEdge(server.bootstrap, name, log)
      await caughtUp(edge)
      log.appendMany('events', 0, 10)
      await caughtUp(edge)
      await expectExact(server.bootstrap, name, log)
      await server.kill()
      // The marker of its last transaction.
      cutLastBatches(server, `${name}-events`, 0, 1)
      await server.start()
      log.appendMany('events', 0, 10)
      await caughtUp(edge)
      await expectExact(server.bootstrap, name, log)
      expect(edge.lines.join('\n')).toMatch(/upstream lost 10 acknowledged records of events\/0: 10 are sent/)
    } finally {
      await server.stop()
    }
  }, 60_000)
})
