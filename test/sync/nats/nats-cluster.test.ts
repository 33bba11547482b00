/** Three nats-servers and a stream that each of them holds: leaders that move, servers that die, and one that comes back as it was. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { NatsUpstreamConfig } from '../../../sync/config.ts'
import { NatsWireError } from '../../../sync/nats/wire.ts'
import { NatsCluster } from '../../support/nats/cluster.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { testSeed } from '../../support/random.ts'
import { until } from '../kafka/security-setup.ts'
import { MemoryCache } from '../replicator-setup.ts'
import { seededRandom } from '../stored-batches.ts'
import { BreakingLink, type LinkFault } from './breaking-link.ts'
import { edgeConfig, NatsEdge } from './nats-edge.ts'

const RECORDS = 200
const PER_COMMIT = 5

const WAYS: readonly LinkFault[] = ['break', 'late', 'stall', 'late']
/** nats-server counts its elections and a follower's way back in seconds. */
const TEST_MS = 120_000

describeWithNats('a cluster of three nats-servers', () => {
  let cluster: NatsCluster
  let edge: NatsEdge
  let stream: string
  let config: Partial<NatsUpstreamConfig>
  let streams = 0

  beforeAll(async () => {
    cluster = await NatsCluster.start()
  }, 60_000)
  beforeEach(async () => {
    edge = new NatsEdge(3, new MemoryCache())
    stream = `events-${++streams}`
    config = {
      servers: cluster.addresses,
      stream,
      subjectPrefix: stream,
      newStream: { replicas: 3, storage: 'file', bytesMax: -1, ageHoursMax: 0 },
      messageBytesMax: 1500,
      ackMs: 1000,
    }
    await edge.start(edgeConfig('', config))
    await edge.replicate(10)
  })
  afterEach(() => edge.stop())
  afterAll(() => cluster?.stop())

  /** Small messages one after the other in each partition, so that what happens meanwhile meets them on their way. */
  const append = () => edge.append(RECORDS, PER_COMMIT)

  async function expectExact(): Promise<void> {
    await edge.level()
    await cluster.whole(stream)
    await until('it can be read', () =>
      edge.expectExact('', config).then(
        () => true,
        (error) => {
          // Whoever reads is refused for a moment after leaders have changed.
          if (error instanceof NatsWireError) return false
          throw error
        },
      ),
    )
  }

  it(
    'moves the leader of a stream under rounds that go on: each record is there once and in order',
    async () => {
      for (let move = 0; move < 4; move++) {
        append()
        await cluster.moveLeader(stream)
      }
      await expectExact()
      expect(edge.lines.filter((line) => line.includes('lost'))).toEqual([])
    },
    TEST_MS,
  )

  it(
    'loses one server after the other, the leader first: rounds go on with the other two',
    async () => {
      for (const pick of ['leader', 'follower']) {
        await cluster.whole(stream)
        const name = pick === 'leader' ? await cluster.leader(stream) : (await cluster.followers(stream))[0]!
        append()
        await cluster.get(name).kill()
        await edge.level()
        await edge.replicate(RECORDS)
        await cluster.get(name).start()
      }
      await expectExact()
      expect(edge.lines.filter((line) => line.includes('lost'))).toEqual([])
    },
    TEST_MS,
  )

  it(
    'has a server that comes back with an old store: the others hold what was acknowledged',
    async () => {
      await cluster.whole(stream)
      const [name] = await cluster.followers(stream)
      const old = cluster.get(name!)
      await old.copyStore()
      append()
      await edge.level()
      await cluster.whole(stream)
      await old.kill()
      await old.restoreStore()
      await old.start()
      append()
      await cluster.whole(stream)
      await cluster.moveLeader(stream)
      append()
      await expectExact()
      expect(edge.lines.filter((line) => line.includes('lost'))).toEqual([])
    },
    TEST_MS,
  )

  it(
    'has its stream deleted and created again while rounds go on: it gets the log from its start',
    async () => {
      append()
      await cluster.delete(stream)
      append()
      await expectExact()
    },
    TEST_MS,
  )

  it(
    'is cut from the edge in the middle of messages, which reach their leader late or not at all',
    async () => {
      const random = seededRandom(testSeed())
      await edge.stop()
      const links = cluster.addresses.map((address) => new BreakingLink(address))
      try {
        const servers = await Promise.all(links.map((link) => link.listen()))
        await edge.start(edgeConfig('', { ...config, servers }))
        const faults = () => links.reduce((sum, link) => sum + link.faults, 0)
        for (let cut = 0; cut < 12; cut++) {
          const before = faults()
          const way = WAYS[cut % WAYS.length]!
          for (const link of links) link.arm(1 + Math.floor(random() * 30_000), way)
          for (let burst = 0; faults() === before; burst++) {
            expect(burst).toBeLessThan(100)
            append()
            await until('a fault, or all is sent', () => faults() > before || edge.isLevel())
          }
          for (const link of links) link.arm(Number.POSITIVE_INFINITY, way)
          if (cut % WAYS.length === 1) await cluster.moveLeader(stream)
          if (way === 'late') await edge.level()
          for (const link of links) link.release()
        }
        await expectExact()
      } finally {
        for (const link of links) link.close()
      }
    },
    TEST_MS,
  )
})
