import { describe, expect, it } from 'vitest'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'
import { OPTIONS, settle, setUp, unreachable, valuesOf } from './replicator-setup.ts'

describe('what a replicator remembers of upstream', () => {
  async function remembered() {
    const first = setUp()
    first.log.appendMany('events', 0, 100)
    first.replicator.start()
    await settle()
    await first.replicator.close()
    return first
  }

  it('is known to status and retention before upstream answers', async () => {
    const { log, cache } = await remembered()
    const { upstream, replicator } = setUp({ log, cache })
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    replicator.start()
    await settle()
    expect(replicator.positions().get('events/0')).toBe(100)
    expect(replicator.status().lagRecords).toBe(0)
  })

  it('replaces a checkpoint that expired upstream, for the same place alone', async () => {
    const { log, cache, upstream } = await remembered()
    upstream.positions.clear()
    log.appendMany('events', 0, 10)
    const second = setUp({ log, cache, upstream })
    second.replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 110))
    await second.replicator.close()
    const elsewhere = new FakeUpstream()
    elsewhere.place = 'place-2'
    setUp({ log, cache, upstream: elsewhere }).replicator.start()
    await settle()
    expect(elsewhere.values.get('events/0')).toEqual(valuesOf(0, 110))
  })

  it('does not count for another incarnation of the log', async () => {
    const { cache } = await remembered()
    const log = new MemoryLog({
      edge: 'edge-a',
      incarnation: '33333333-3333-4333-8333-333333333333',
    }).addStream('events', 2)
    log.appendMany('events', 0, 120)
    const { upstream, replicator } = setUp({ log, cache })
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 120))
  })

  it('does not win over what upstream says, which is told when it lost data', async () => {
    const { log, cache, upstream } = await remembered()
    upstream.positions.set('events/0', { next: 60, proof: null })
    upstream.values.set('events/0', valuesOf(0, 60))
    const { lines, replicator } = setUp({ log, cache, upstream })
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 100))
    expect(lines.join()).toMatch(/upstream lost 40 acknowledged records of events\/0/)
  })

  it('tells of records that retention removed before they were sent', async () => {
    const { log, cache, upstream } = await remembered()
    log.appendMany('events', 0, 100)
    log.dropBelow('events', 0, 150)
    const { lines, replicator } = setUp({ log, cache, upstream })
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toEqual([...valuesOf(0, 100), ...valuesOf(150, 200)])
    expect(lines.join()).toMatch(/retention removed 50 records of events\/0/)
  })

  it('is saved at most once a second while rounds go by', async () => {
    const { log, cache, clock, replicator } = setUp({
      options: { round: { ...OPTIONS.round, bytesMax: 2048 } },
    })
    log.appendMany('events', 0, 5000)
    replicator.start()
    await settle()
    clock.advance(100)
    await settle()
    expect(cache.saves).toBeLessThanOrEqual(2)
  })

  it('is saved at most once a second while a few records come at a time, and the last of them a second later', async () => {
    const { log, cache, clock, replicator } = setUp()
    replicator.start()
    await settle()
    const { saves } = cache
    for (let i = 0; i < 20; i++) {
      log.appendMany('events', 0, 1)
      await settle()
      clock.advance(100)
      await settle()
    }
    expect(cache.saves - saves).toBeLessThanOrEqual(3)
    clock.advance(1000)
    await settle()
    expect(cache.saved?.positions['events/0']).toMatchObject({ next: 20 })
    const { saves: last } = cache
    clock.advance(60_000)
    await settle()
    expect(cache.saves, 'nothing is left to be saved').toBe(last)
  })
})
