/** When a commit waits for those whom the last one has acknowledged: in time that only the simulation lets pass, and in a chain. */
import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import type { Pace } from '../../../broker/log/gathering.ts'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { GatheringWorld, type Simulated } from './gathering-world.ts'
import { openLog, readAll } from './support.ts'

const seed = testSeed()

interface Outcome {
  readonly perMs: number
  readonly perCommit: number
  readonly medianMs: number
  readonly waits: number
}

/** The same publishers on the same disk without gathering and with it. */
async function bothWays(
  options: Pick<Simulated, 'syncMs' | 'recordMs'>,
  ms: number,
  publishers: (world: GatheringWorld) => void,
): Promise<{ apart: Outcome; gathered: Outcome }> {
  const play = async (isGathering: boolean): Promise<Outcome> => {
    const world = new GatheringWorld({ ...options, isGathering, random: seededRandom(seed) })
    publishers(world)
    await world.run(ms)
    const { commits, waits } = world
    const latencies = [...world.latencies].sort((a, b) => a - b)
    const records = commits.reduce((sum, count) => sum + count, 0)
    return {
      perMs: records / ms,
      perCommit: records / commits.length,
      medianMs: latencies[Math.floor(latencies.length / 2)]!,
      waits,
    }
  }
  return { apart: await play(false), gathered: await play(true) }
}

describe(`gathering (seed ${seed})`, () => {
  it('brings a publisher that came to be in two commits back into one, with one wait', async () => {
    const { apart, gathered } = await bothWays({ syncMs: 1, recordMs: 0.0005 }, 200, (world) =>
      world.closedLoop(100, (random) => 0.1 + random.next() / 10),
    )
    expect(apart.perCommit).toBeLessThan(52)
    expect(gathered.perCommit).toBeGreaterThan(95)
    expect(gathered.perMs / apart.perMs).toBeGreaterThan(1.5)
    expect(gathered.medianMs / apart.medianMs).toBeLessThan(0.7)
    expect(gathered.waits).toBeLessThanOrEqual(3)
  })

  it('keeps publishers with one message each in one commit, although they come back one by one', async () => {
    const { apart, gathered } = await bothWays({ syncMs: 5, recordMs: 0.005 }, 1000, (world) => {
      for (let i = 0; i < 10; i++) world.closedLoop(1, (random) => 0.1 + random.next() / 10)
    })
    expect(apart.perCommit).toBeLessThan(6)
    expect(gathered.perCommit).toBeGreaterThan(9)
    expect(gathered.perMs / apart.perMs).toBeGreaterThan(1.7)
  })

  it('does not hold up publishers whose messages take the thread longer than the disk', async () => {
    const { apart, gathered } = await bothWays({ syncMs: 0.25, recordMs: 0.002 }, 200, (world) => {
      for (let i = 0; i < 100; i++) world.closedLoop(10, (random) => 0.1 + random.next() * 0.3)
    })
    expect(gathered.perMs).toBeGreaterThan(apart.perMs * 0.98)
    expect(gathered.waits).toBeLessThan(5)
  })

  it('learns that publishers who send when they like do not come back', async () => {
    for (const perMs of [0.2, 1, 10]) {
      const { apart, gathered } = await bothWays({ syncMs: 1, recordMs: 0.002 }, 2000, (world) =>
        world.paced(perMs),
      )
      expect(gathered.waits).toBeLessThan((2000 * Math.min(perMs, 1)) / 20)
      expect(gathered.medianMs).toBeLessThan(apart.medianMs * 1.05)
    }
  })

  it('holds up nobody for one that comes from far away', async () => {
    const { apart, gathered } = await bothWays({ syncMs: 1, recordMs: 0.002 }, 2000, (world) => {
      for (let i = 0; i < 10; i++) world.closedLoop(1, (random) => 30 + random.next() * 40)
    })
    expect(gathered.perMs).toBeGreaterThan(apart.perMs * 0.98)
    expect(gathered.medianMs).toBeLessThan(apart.medianMs * 1.05)
  })
})

/** Time goes on only where the test says so; what is due soon comes at once. */
class StandingPace implements Pace {
  now = 1000
  /** What waits for time to pass. */
  readonly timers: (() => void)[] = []

  monotonic(): number {
    return this.now
  }
  soon(callback: () => void): void {
    setImmediate(callback)
  }
  after(_ms: number, callback: () => void): () => void {
    this.timers.push(callback)
    return () => {}
  }
}

const turns = async (count = 20) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

function publish(log: EventLog, names: readonly string[], outcomes: string[]): void {
  const { chain, partitions } = log.stream('events')
  for (const name of names) chain.append(partitions[0]!, 1000, null, Buffer.from(name), NO_HEADERS)
  chain.onCommit((error) => outcomes.push(`${names.join()}: ${error === null ? 'durable' : error.name}`))
}

/** Two halves, each of which is one commit: `b` waits while `a` is synced. */
async function twoHalves() {
  const disk = new FaultyDisk(new MemoryDisk())
  const pace = new StandingPace()
  const log = await openLog(disk, { pace })
  const outcomes: string[] = []
  let gate = disk.hold('sync')
  /** Lets the sync under way end, so many ms after it began, and holds the next one. */
  const synced = async (ms: number) => {
    pace.now += ms
    gate.release()
    gate = disk.hold('sync')
    await turns()
  }
  publish(log, ['a1', 'a2'], outcomes)
  await gate.reached
  publish(log, ['b1', 'b2'], outcomes)
  await turns()
  await synced(10)
  await gate.reached
  // those of `a` are back after 2 ms
  pace.now += 2
  publish(log, ['a3', 'a4'], outcomes)
  await turns()
  return { disk, pace, log, outcomes, synced, gate: () => gate }
}

describe('a chain', () => {
  it('acknowledges one half, and begins the next commit when the other half is there again', async () => {
    const { disk, pace, log, outcomes, synced, gate } = await twoHalves()
    const before = disk.trace.filter(({ kind }) => kind === 'sync').length
    await synced(8)
    expect(outcomes).toEqual(['a1,a2: durable', 'b1,b2: durable'])
    expect(disk.trace.filter(({ kind }) => kind === 'sync')).toHaveLength(before)
    publish(log, ['b3', 'b4'], outcomes)
    pace.now += 1
    for (const timer of pace.timers.splice(0)) timer()
    await gate().reached
    gate().release()
    await turns()
    expect(outcomes.slice(2)).toEqual(['a3,a4: durable', 'b3,b4: durable'])
    expect(log.status()).toMatchObject({ commits: 3, records: 8 })
    expect(await readAll(log, 0)).toEqual(
      ['a1', 'a2', 'b1', 'b2', 'a3', 'a4', 'b3', 'b4'].map((v, i) => `${i}:${v}`),
    )
  })

  it('commits what it has where the other half stays away', async () => {
    const { pace, outcomes, synced, gate } = await twoHalves()
    await synced(8)
    expect(outcomes).toHaveLength(2)
    pace.now += 4
    for (const timer of pace.timers.splice(0)) timer()
    await gate().reached
    gate().release()
    await turns()
    expect(outcomes[2]).toBe('a3,a4: durable')
  })

  it('that is closed meanwhile commits what waits', async () => {
    const { pace, log, outcomes, synced, gate } = await twoHalves()
    await synced(8)
    gate().release()
    const closed = log.close()
    pace.now += 4
    for (const timer of pace.timers.splice(0)) timer()
    await closed
    expect(outcomes[2]).toBe('a3,a4: durable')
  })

  it('tells what waited and what came meanwhile that their commit failed', async () => {
    const { disk, pace, log, outcomes, synced, gate } = await twoHalves()
    await synced(8)
    publish(log, ['b3', 'b4'], outcomes)
    pace.now += 1
    disk.fail({ on: 'sync', code: 'EIO' })
    for (const timer of pace.timers.splice(0)) timer()
    await gate().reached
    gate().release()
    await turns()
    expect(outcomes.slice(2)).toEqual(['a3,a4: CommitFailedError', 'b3,b4: CommitFailedError'])
  })
})
