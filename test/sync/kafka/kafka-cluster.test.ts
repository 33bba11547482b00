/**
 * What happens among the brokers of a cluster while an edge sends: leaders and coordinators move and are killed, an unclean
 * election throws records away, a disk loses its tail. Afterwards a reader sees each record once and in order.
 */
import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import {
  COORDINATOR_TOPICS,
  coordinatorOf,
  describeWithOwnKafka,
  type KafkaCluster,
  moveLeader,
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
import { caughtUp, close, closeEdges, expectExact, startEdge } from './edge.ts'

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

  it('sends again what an unclean election threw away, and says what is gone for good', async () => {
    const { bootstrap } = cluster
    const name = uniqueName('unclean')
    const topic = `${name}-events`
    const replicaAssignment = [0, 1].map((partition) => ({ partition, replicas: [2, 3] }))
    const configEntries = [
      { name: 'unclean.leader.election.enable', value: 'true' },
      { name: 'min.insync.replicas', value: '1' },
    ]
    await withAdmin(bootstrap, (admin) =>
      admin.createTopics({ topics: [{ topic, replicaAssignment, configEntries }], waitForLeaders: true }),
    )
    const log = newLog(2, 20)
    const cache = new MemoryCache()
    const edge = startEdge(bootstrap, name, log, { cache })
    await caughtUp(edge)
    // What follows is on broker 2 alone.
    for (const partition of [0, 1])
      await untilPlace(bootstrap, topic, 'both are in sync', ({ inSync }) => inSync.length === 2, partition)
    // The markers, too: on both, because the commit is complete and they were in sync.
    await expectExact(bootstrap, name, log)
    await node(3).kill()
    for (const partition of [0, 1])
      await untilPlace(bootstrap, topic, '2 is alone', ({ inSync }) => inSync.join() === '2', partition)
    grow(log, 20)
    await caughtUp(edge)
    grow(log, 10)
    await caughtUp(edge)
    await close(edge)
    await node(2).kill()
    await node(3).start()
    for (const partition of [0, 1])
      await untilPlace(bootstrap, topic, '3 leads', ({ leader }) => leader === 3, partition)
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
      cutLastBatch(join(server.directory, 'data', `${name}-events-0`))
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

/** Takes the last batch, the marker of the last transaction, off a partition's log. */
function cutLastBatch(directory: string): void {
  const logs = readdirSync(directory).filter((file) => file.endsWith('.log'))
  const segment = join(directory, logs.sort().at(-1)!)
  const bytes = readFileSync(segment)
  let last = 0
  for (let at = 0; at < bytes.length && bytes.readInt32BE(at + 8) > 0; at += 12 + bytes.readInt32BE(at + 8))
    last = at
  truncateSync(segment, last)
}
