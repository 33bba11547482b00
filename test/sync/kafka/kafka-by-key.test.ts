/**
 * A stream by key whose topic lost records of some of its partitions and not of others: a reader sees each record once, and in order
 * by key, whatever the process was doing meanwhile. A broker's disk that lost its end stands for an unclean election, which
 * kafka-cluster.test.ts has.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { decideStart } from '../../../sync/checkpoint.ts'
import {
  createTopic,
  describeWithOwnKafka,
  type KafkaServer,
  startKafka,
  uniqueName,
  withAdmin,
} from '../../support/kafka/index.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { MemoryCache } from '../replicator-setup.ts'
import { roundFrom } from '../upstream-harness.ts'
import { cutLastBatches } from './disk.ts'
import { caughtUp, close, closeEdges, startEdge } from './edge.ts'
import { mortalRequests, readByOrigin, settled } from './kafka-place.ts'
import { openKafka } from './open-kafka.ts'

const LOCAL_PARTITIONS = 3
const TARGETS = 2
/** Of a process that dies while it sends lost records again. */
const LIVES = 8
const group = (name: string) => `${name}.${testIdentity().edge}`

function grow(log: MemoryLog, count: number): void {
  for (let partition = 0; partition < LOCAL_PARTITIONS; partition++)
    log.appendMany('events', partition, count)
}

function values(log: MemoryLog): string[] {
  return log.partitions().flatMap(({ partition, durableOffset }) => {
    return Array.from({ length: durableOffset }, (_, offset) => `events/${partition}/${offset}`)
  })
}

describeWithOwnKafka('a topic by key', () => {
  let server: KafkaServer
  beforeAll(async () => {
    server = await startKafka()
  }, 360_000)
  afterAll(() => server?.stop())
  afterEach(closeEdges)

  /** An edge that has sent four rounds of its log. */
  async function sent(name: string, mode: 'exactly-once' | 'fleet' = 'exactly-once') {
    await createTopic(server.bootstrap, `${name}-events`, TARGETS)
    const log = new MemoryLog().addStream('events', LOCAL_PARTITIONS)
    const cache = new MemoryCache()
    const edge = startEdge(server.bootstrap, name, log, { cache, options: { mode } })
    for (let round = 0; round < 4; round++) {
      grow(log, 20)
      await caughtUp(edge)
    }
    await settled(server.bootstrap, group(name))
    return { log, cache, edge }
  }

  async function cut(name: string, batches: number | 'all', target = 0): Promise<void> {
    await server.kill()
    cutLastBatches(server, `${name}-events`, target, batches)
    await server.start()
  }

  async function found(name: string): Promise<string[]> {
    await settled(server.bootstrap, group(name))
    return (await readByOrigin(server.bootstrap, name, 'events')).map(({ value }) => value!)
  }

  it.each([
    ['two rounds', 4],
    ['a round and a half, whose end is open', 3],
    ['all that it had', 'all'],
  ] as const)('that lost %s in one of its partitions gets those again, while it runs', async (_, batches) => {
    const name = uniqueName('cut')
    const { log, edge } = await sent(name)
    expect(await found(name)).toEqual(values(log))
    await cut(name, batches)
    grow(log, 10)
    await caughtUp(edge)
    expect(await found(name)).toEqual(values(log))
    expect(edge.lines.join('\n')).toMatch(
      /upstream lost some acknowledged records of events\/0 between \d+ and 80: they are sent again, the others there are not/,
    )
  })

  it('that lost records gets those again, however often the process ends while it sends them', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (const batches of [4, 3]) {
      const name = uniqueName('lives')
      const { log, edge } = await sent(name)
      await close(edge)
      await cut(name, batches)
      grow(log, 20)
      for (let life = 0; life <= LIVES; life++) {
        const mortal = mortalRequests()
        const upstream = openKafka(server.bootstrap, name, { around: mortal.around })
        // Some end while they look for what is lost, most in a round, and the last one lives.
        if (life % 4 === 1) mortal.arm(random.between(0, 20))
        try {
          const recovered = await upstream.recover(log.identity, log.partitions())
          let { positions } = await decideStart(log, log.partitions(), recovered, null)
          if (life < LIVES) mortal.arm(random.between(3, 14))
          for (;;) {
            const round = roundFrom(log, positions, random.between(1, 3))
            if (round.parts.length === 0) break
            positions = new Map([...positions, ...(await upstream.send(round))])
          }
        } catch (error) {
          expect(mortal.died(), `seed ${seed}: ${String(error)}`).toBe(true)
        }
        await upstream.close()
      }
      expect(await found(name), `seed ${seed}`).toEqual(values(log))
    }
  }, 120_000)

  it('without transactions, that lost records gets all of them again, and each key stays in order', async () => {
    const name = uniqueName('fleet')
    const { log, edge } = await sent(name, 'fleet')
    await close(edge)
    await cut(name, 2)
    grow(log, 10)
    const again = startEdge(server.bootstrap, name, log, { options: { mode: 'fleet' } })
    await caughtUp(again)
    expect(again.lines.join('\n')).toMatch(/upstream lost some acknowledged records/)
    // In one process none is repeated either: the partition that lost nothing gets nothing again.
    expect(await found(name)).toEqual(values(log))
  })

  it('whose checkpoint is gone, too, tells itself what it lacks', async () => {
    const name = uniqueName('both')
    const { log, edge } = await sent(name)
    await close(edge)
    await withAdmin(server.bootstrap, (admin) => admin.deleteGroups([group(name)]))
    await cut(name, 4)
    grow(log, 10)
    const again = startEdge(server.bootstrap, name, log)
    await caughtUp(again)
    expect(again.lines.join('\n')).toMatch(/no checkpoint of events\/0 but its records below 80/)
    await close(again)
    // Nobody remembers anything, and nothing is missing.
    await withAdmin(server.bootstrap, (admin) => admin.deleteGroups([group(name)]))
    const third = startEdge(server.bootstrap, name, log)
    await caughtUp(third)
    expect(await found(name)).toEqual(values(log))
  })

  it('whose records are there is believed, and not a checkpoint that fell back', async () => {
    const name = uniqueName('fell')
    let old: unknown
    const { log, cache, edge } = await sent(name)
    await close(edge)
    const around = (isOld: boolean) => async (method: string, ask: () => Promise<unknown>) => {
      if (method === 'offsetFetch' && isOld) return old
      const answer = await ask()
      if (method === 'offsetFetch') old = answer
      return answer
    }
    const second = startEdge(server.bootstrap, name, log, { cache, around: around(false) })
    await caughtUp(second)
    grow(log, 20)
    await caughtUp(second)
    await close(second)
    grow(log, 5)
    const third = startEdge(server.bootstrap, name, log, { cache, around: around(true) })
    await caughtUp(third)
    expect(third.lines.join('\n')).toMatch(/checkpoint of events\/0 fell back from 100 to 80/)
    expect(await found(name)).toEqual(values(log))
  })
})
