import { describe, expect, it } from 'vitest'
import type { UpstreamEvent } from '../../broker/index.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'
import { batchBytes, HOUR, Memory, NIGHT, withLink } from './replicator-link-setup.ts'
import { ManualClock, settle, unreachable, valuesOf } from './replicator-setup.ts'

describe('a cap on bandwidth', () => {
  it('is kept over a backlog, without waves', async () => {
    const { log, upstream, clock, replicator } = await withLink({
      bandwidth: { bytesPerSecond: 2000, burstBytes: 2000 },
    })
    const startedAt = clock.time
    const sentAt: { at: number; bytes: number }[] = []
    upstream.afterSend = () => {
      sentAt.push({ at: clock.time - startedAt, bytes: batchBytes(upstream).at(-1)! })
    }
    log.appendMany('events', 0, 3000, 5)
    replicator.start()
    for (let i = 0; i < 120; i++) {
      await settle()
      clock.advance(250)
    }
    const total = sentAt.reduce((sum, { bytes }) => sum + bytes, 0)
    expect(total).toBeGreaterThan(0.9 * 30 * 2000)
    expect(total).toBeLessThan(32 * 2000 + 500)
    for (let from = 2000; from < 26_000; from += 1000) {
      const bytes = sentAt
        .filter(({ at }) => at >= from && at < from + 3000)
        .reduce((sum, each) => sum + each.bytes, 0)
      expect(bytes).toBeGreaterThan(3000)
      expect(bytes).toBeLessThan(9000)
    }
    expect(replicator.status()).toMatchObject({
      state: 'sending',
      link: { bandwidth: { bytesPerSecond: 2000, isWaiting: true } },
    })
  })

  it('counts what the upstream says that it sent, and tries that failed', async () => {
    const upstream = new FakeUpstream()
    let wire = 0
    Object.defineProperty(upstream, 'wireBytes', { get: () => wire })
    const world = await withLink({ bandwidth: { bytesPerSecond: 1000, burstBytes: 1000 } }, { upstream })
    const { log, clock, replicator } = world
    let fails = true
    upstream.beforeSend = () => {
      wire += 31_000
      if (fails) throw unreachable()
    }
    log.appendMany('events', 0, 5)
    replicator.start()
    await settle()
    fails = false
    clock.advance(1000)
    await settle()
    expect(upstream.rounds).toHaveLength(0)
    clock.advance(28_000)
    await settle()
    expect(upstream.rounds).toHaveLength(0)
    clock.advance(1100)
    await settle()
    expect(upstream.rounds).toHaveLength(1)
    expect(replicator.status().wireBytes).toBe(62_000)
  })

  it('a stream of high priority waits no longer than what is owed', async () => {
    const log = new MemoryLog().addStream('events', 1).addStream('alarms', 1)
    log.priorities.set('alarms', 9)
    const bandwidth = { bytesPerSecond: 1000, burstBytes: 1000 }
    const { upstream, clock, replicator } = await withLink({ bandwidth }, { log })
    log.appendMany('events', 0, 2000)
    replicator.start()
    for (let i = 0; i < 20; i++) {
      await settle()
      clock.advance(500)
    }
    log.appendMany('alarms', 0, 1)
    for (let i = 0; i < 5; i++) {
      await settle()
      clock.advance(500)
    }
    expect(upstream.values.get('alarms/0')).toHaveLength(1)
    expect(replicator.status().lagRecords).toBeGreaterThan(1000)
  })
})

describe('a schedule', () => {
  it('holds all outside its windows, disconnected, and goes on when one opens', async () => {
    const { log, upstream, clock, lines, replicator } = await withLink({ schedule: NIGHT })
    const events: UpstreamEvent[] = []
    replicator.onChange((event) => events.push(event))
    log.appendMany('events', 0, 10)
    replicator.start()
    await settle()
    const opensAt = clock.time + 14 * HOUR
    expect(replicator.status()).toMatchObject({
      state: 'held',
      lagRecords: 10,
      link: {
        hold: { reason: 'schedule', until: opensAt, urgentPriority: null },
        schedule: { isOpen: false },
      },
    })
    expect(replicator.status().lagSecondsOldest).toBeGreaterThan(0)
    expect(upstream.recovers).toBe(0)
    for (let i = 0; i < 13; i++) {
      clock.advance(HOUR)
      log.appendMany('events', 0, 1)
      await settle()
    }
    expect(upstream.recovers).toBe(0)
    clock.advance(HOUR)
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'idle', lagRecords: 0, link: { hold: null } })
    expect(upstream.disconnects).toBe(1)
    clock.advance(8 * HOUR)
    await settle()
    expect(replicator.status().state).toBe('held')
    expect(upstream.disconnects).toBe(2)
    expect(events.map(({ to }) => to)).toEqual(['held', 'recovering', 'sending', 'idle', 'held'])
    expect(events[0]).toMatchObject({
      upstream: 'fake',
      from: 'recovering',
      hold: { reason: 'schedule' },
      error: null,
    })
    expect(lines).toEqual([
      'info upstream fake: held, outside its schedule until 2027-01-15T22:00:00.000Z',
      'info upstream fake: goes on',
      'info upstream fake: held, outside its schedule until 2027-01-16T22:00:00.000Z',
    ])
  })

  it('can let urgent streams pass: they are sent at once, the others wait', async () => {
    const log = new MemoryLog().addStream('events', 1).addStream('alarms', 1)
    log.priorities.set('alarms', 8)
    const schedule = { ...NIGHT, outside: 'urgent' as const }
    const { upstream, clock, replicator } = await withLink({ schedule }, { log })
    log.appendMany('events', 0, 10)
    replicator.start()
    await settle()
    expect(upstream.recovers).toBe(0)
    log.appendMany('alarms', 0, 2)
    log.appendMany('events', 0, 10)
    await settle()
    clock.advance(100)
    await settle()
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 2, 'alarms/0'))
    expect(upstream.values.has('events/0')).toBe(false)
    expect(replicator.status()).toMatchObject({
      state: 'held',
      lagRecords: 20,
      link: { hold: { reason: 'schedule', urgentPriority: 8 } },
    })
    log.appendMany('events', 0, 10)
    await settle()
    expect(upstream.recovers).toBe(1)
    clock.advance(14 * HOUR)
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 30))
  })

  it('is passed over once by `now`, until all that waits is upstream', async () => {
    const { log, upstream, clock, replicator } = await withLink({ schedule: NIGHT })
    log.appendMany('events', 0, 2000)
    replicator.start()
    await settle()
    let fails = 2
    upstream.beforeSend = () => {
      if (fails-- > 0) throw unreachable()
    }
    replicator.now()
    for (let i = 0; i < 4; i++) {
      await settle()
      clock.advance(2000)
    }
    await settle()
    expect(upstream.values.get('events/0')).toHaveLength(2000)
    expect(replicator.status()).toMatchObject({ state: 'held', link: { schedule: { isOverridden: false } } })
    log.appendMany('events', 0, 1)
    await settle()
    clock.advance(60_000)
    await settle()
    expect(upstream.values.get('events/0')).toHaveLength(2000)
  })

  it('closes nothing while the clock is not to be trusted, and follows a clock that is set', async () => {
    let trusted = false
    const clock = new ManualClock()
    const trustedNow = () => (trusted ? clock.time : null)
    const schedule = { ...NIGHT, windows: [{ from: '12:00', to: '13:00', days: [] }] }
    const { log, upstream, replicator } = await withLink({ schedule }, { clock, trustedNow })
    log.appendMany('events', 0, 10)
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toHaveLength(10)
    trusted = true
    clock.advance(60_000)
    await settle()
    expect(replicator.status().state).toBe('held')
    clock.time += 4 * HOUR
    clock.advance(60_000)
    await settle()
    expect(replicator.status().state).toBe('idle')
  })
})

describe('a data budget', () => {
  const DAY = {
    bytes: 20_000,
    period: 'day' as const,
    resetDay: 1,
    timezone: 'UTC',
    whenUsed: 'hold' as const,
  }

  it('holds all when it is used up, and goes on with the next period', async () => {
    const { log, upstream, clock, replicator } = await withLink({ budgets: [DAY] })
    log.appendMany('events', 0, 3000)
    replicator.start()
    await settle()
    const sum = () => batchBytes(upstream).reduce((total, bytes) => total + bytes, 0)
    expect(sum()).toBeGreaterThanOrEqual(20_000)
    expect(sum()).toBeLessThan(21_000)
    expect(replicator.status()).toMatchObject({
      state: 'held',
      link: {
        hold: { reason: 'budget', until: Date.parse('2027-01-16T00:00:00Z') },
        budgets: [{ period: 'day', bytes: 20_000, usedBytes: sum() }],
      },
    })
    replicator.now()
    await settle()
    expect(replicator.status().state).toBe('held')
    clock.advance(16 * HOUR)
    await settle()
    expect(sum()).toBeGreaterThanOrEqual(40_000)
    expect(sum()).toBeLessThan(42_000)
  })

  it('is remembered: a crash in the middle gives nothing back', async () => {
    const memory = new Memory()
    const budget = { ...DAY, bytes: 1_000_000 }
    const first = await withLink({ budgets: [budget] }, { memory })
    first.log.appendMany('events', 0, 3000)
    first.replicator.start()
    await settle()
    const used = first.replicator.status().link.budgets[0]!.usedBytes
    expect(used).toBeGreaterThan(50_000)
    const atCrash = structuredClone(memory.state)
    expect(atCrash.budgets['day/UTC']!.used).toBeGreaterThanOrEqual(used)
    expect(atCrash.budgets['day/UTC']!.used).toBeLessThan(used + 70_000)
    await first.replicator.close()
    expect(memory.state.budgets['day/UTC']!.used).toBe(used)
    const second = await withLink({ budgets: [{ ...budget, bytes: used }] }, { memory })
    second.log.appendMany('events', 0, 10)
    second.replicator.start()
    await settle()
    expect(second.replicator.status()).toMatchObject({ state: 'held', link: { hold: { reason: 'budget' } } })
  })

  it('can let urgent streams pass when it is used up', async () => {
    const log = new MemoryLog().addStream('events', 1).addStream('alarms', 1)
    log.priorities.set('alarms', 9)
    const { upstream, clock, replicator } = await withLink(
      { budgets: [{ ...DAY, whenUsed: 'urgent' }] },
      { log },
    )
    log.appendMany('events', 0, 3000)
    replicator.start()
    await settle()
    expect(replicator.status().state).toBe('held')
    log.appendMany('alarms', 0, 2)
    await settle()
    clock.advance(100)
    await settle()
    expect(upstream.values.get('alarms/0')).toHaveLength(2)
    expect(replicator.status().lagRecords).toBeGreaterThan(1000)
  })
})

describe('a pause', () => {
  it('is remembered: after a restart nothing is asked of upstream until it is resumed', async () => {
    const memory = new Memory()
    const first = await withLink({}, { memory })
    first.replicator.start()
    await settle()
    await first.replicator.pause()
    expect(memory.state.paused).toBe(true)
    await settle()
    await first.replicator.close()
    const second = await withLink({}, { memory })
    second.log.appendMany('events', 0, 10)
    second.replicator.start()
    await settle()
    expect(second.replicator.status()).toMatchObject({ state: 'paused', lagRecords: 10 })
    expect(second.upstream.recovers).toBe(0)
    await second.replicator.resume()
    expect(memory.state.paused).toBe(false)
    await settle()
    expect(second.upstream.values.get('events/0')).toHaveLength(10)
    expect(second.lines).toEqual([
      'info upstream fake: paused until `headwater sync resume`',
      'info upstream fake: goes on',
    ])
  })

  it('that cannot be remembered says so to who asked for it', async () => {
    const memory = new Memory()
    const { replicator } = await withLink({}, { memory })
    memory.save = () => Promise.reject(new Error('the disk is full'))
    replicator.start()
    await expect(replicator.pause()).rejects.toThrow('the disk is full')
    await settle()
    expect(replicator.status().state).toBe('paused')
  })
})
