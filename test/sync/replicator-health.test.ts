import { afterEach, describe, expect, it } from 'vitest'
import type { UpstreamEvent } from '../../broker/index.ts'
import { UpstreamFloors } from '../../broker/log/upstream-floors.ts'
import { FencedError } from '../../sync/errors.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'
import { type ManualClock, MemoryCache, OPTIONS, settle, setUp, unreachable } from './replicator-setup.ts'

const DAY_MS = 86_400_000
const later: (() => void)[] = []
afterEach(() => {
  for (const each of later.splice(0)) each()
})

/** Each round takes this long by the test's clock. */
function slowed(upstream: FakeUpstream, clock: ManualClock, ms: number): void {
  upstream.beforeSend = () => {
    clock.time += ms
  }
}

describe('health', () => {
  it('knows the age of the oldest record that waits, also while upstream is away and before it ever answered', async () => {
    const log = new MemoryLog().addStream('events', 2)
    const now = 1_800_000_000_000
    log.append('events', 1, [{ value: 'a', timestamp: now - 50_000 }])
    log.append('events', 0, [{ value: 'b', timestamp: now - 90_000 }])
    const { upstream, clock, replicator } = setUp({ log })
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    replicator.start()
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'backoff', lagRecords: 2, lagSecondsOldest: 90 })
    clock.advance(500)
    expect(replicator.status().lagSecondsOldest).toBe(90.5)
    upstream.beforeRecover = () => {}
    clock.advance(2000)
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'idle', lagSecondsOldest: null })
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    upstream.beforeSend = () => {
      throw unreachable()
    }
    log.appendMany('events', 0, 5)
    await settle()
    clock.advance(100)
    await settle()
    clock.advance(30_000)
    await settle()
    log.appendMany('events', 1, 5)
    expect(replicator.status().state).toBe('backoff')
    expect(replicator.status().lagSecondsOldest).toBeGreaterThanOrEqual(30)
  })

  it('counts what is on its way as waiting, until it is acknowledged', async () => {
    const { log, upstream, replicator } = setUp()
    log.appendMany('events', 0, 10)
    let fail = (_: Error) => {}
    upstream.beforeSend = () =>
      new Promise<void>((_, reject) => {
        fail = reject
      })
    replicator.start()
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'sending', lagRecords: 10 })
    fail(unreachable())
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'backoff', lagRecords: 10 })
  })

  it('a log that upstream has whole after a restart is not behind, and has no oldest record', async () => {
    const cache = new MemoryCache()
    const first = setUp({ cache })
    first.log.appendMany('events', 0, 10)
    first.replicator.start()
    await settle()
    await first.replicator.close()
    const { upstream, replicator } = setUp({ cache, log: first.log, upstream: first.upstream })
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    replicator.start()
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'backoff', lagRecords: 0, lagSecondsOldest: null })
  })

  it('tells when its certificate expires, and when that is near', () => {
    const { upstream, clock, replicator } = setUp()
    expect(replicator.status().certificate).toBe(null)
    const until = clock.now() + 31 * DAY_MS
    upstream.certificate = { from: until - 365 * DAY_MS, until }
    expect(replicator.status().certificate).toEqual({ until, isDue: false })
    clock.time += DAY_MS
    expect(replicator.status().certificate).toEqual({ until, isDue: true })
  })

  it('tells the age of the last acknowledgement by a clock that nobody sets', async () => {
    const { log, clock, replicator } = setUp()
    expect(replicator.status().ackAgeSeconds).toBe(null)
    log.appendMany('events', 0, 1)
    replicator.start()
    await settle()
    clock.advance(7000)
    expect(replicator.status()).toMatchObject({ ackAgeSeconds: 7, lastAckAt: clock.time - 7000 })
  })

  it('tells rates, and how long a drain will take as long as the lag shrinks', async () => {
    const { log, upstream, clock, replicator } = setUp({
      options: { round: { ...OPTIONS.round, bytesMax: 2048 } },
    })
    let release = () => {}
    upstream.beforeSend = () => {
      clock.time += 1000
      return new Promise<void>((resolve) => {
        release = resolve
      })
    }
    log.appendMany('events', 0, 10_000)
    replicator.start()
    for (let i = 0; i < 20; i++) {
      await settle()
      replicator.status()
      release()
    }
    await settle()
    const status = replicator.status()
    const perSecond = status.sentRecords / 21
    expect(status.recordsPerSecond).toBeGreaterThan(perSecond * 0.6)
    expect(status.bytesPerSecond).toBeGreaterThan(status.recordsPerSecond * 20)
    expect(status.drainSeconds! / (status.lagRecords / perSecond)).toBeGreaterThan(0.7)
    expect(status.drainSeconds! / (status.lagRecords / perSecond)).toBeLessThan(1.4)
    log.appendMany('events', 1, 20_000)
    await settle()
    expect(replicator.status().drainSeconds).toBe(null)
    upstream.beforeSend = () => {}
    release()
    await settle()
  })

  it('counts records that retention took before they were sent, once', async () => {
    const { log, upstream, clock, replicator } = setUp()
    log.appendMany('events', 0, 20)
    replicator.start()
    await settle()
    upstream.beforeSend = () => {
      throw unreachable()
    }
    log.appendMany('events', 0, 50)
    await settle()
    clock.advance(100)
    await settle()
    log.dropBelow('events', 0, 40)
    clock.advance(1000)
    await settle()
    upstream.beforeSend = () => {}
    clock.advance(20_000)
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'idle', skippedRecords: 20, lagRecords: 0 })
  })

  it('tells listeners of each change of state with its reason, and a listener that fails harms nobody', async () => {
    const { log, upstream, clock, lines, replicator } = setUp()
    const events: UpstreamEvent[] = []
    replicator.onChange(() => {
      throw new Error('a listener')
    })
    const stop = replicator.onChange((event) => events.push(event))
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    replicator.start()
    await settle()
    upstream.beforeRecover = () => {}
    clock.advance(1000)
    await settle()
    upstream.beforeSend = () => {
      throw new FencedError('headwater.edge-a', 'while sending')
    }
    log.appendMany('events', 0, 1)
    await settle()
    clock.advance(100)
    await settle()
    expect(events.map(({ from, to }) => `${from} ${to}`)).toEqual([
      'recovering backoff',
      'backoff recovering',
      'recovering sending',
      'sending idle',
      'idle sending',
      'sending stopped',
    ])
    expect(events[0]).toMatchObject({ upstream: 'fake', error: { code: 'HW_UPSTREAM_UNREACHABLE' } })
    expect(events[5]).toMatchObject({ error: { code: 'HW_FENCED' }, at: clock.time })
    expect(lines.filter((line) => line.includes('a listener failed'))).toHaveLength(6)
    stop()
    await replicator.resume()
    await settle()
    expect(events).toHaveLength(6)
  })

  it('a change of state has one line in the log, however often it is tried', async () => {
    const { log, upstream, clock, lines, replicator } = setUp()
    replicator.start()
    await settle()
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    upstream.beforeSend = () => {
      throw unreachable()
    }
    log.appendMany('events', 0, 10)
    for (let i = 0; i < 10; i++) {
      await settle()
      clock.advance(20_000)
    }
    upstream.beforeRecover = () => {}
    slowed(upstream, clock, 10)
    for (let i = 0; i < 3; i++) {
      await settle()
      clock.advance(20_000)
    }
    await replicator.pause()
    await settle()
    await replicator.resume()
    await settle()
    expect(lines.map((line) => line.replace(/:.*(recovered|paused|goes on|refused).*/, ': $1'))).toEqual([
      'warn upstream fake: refused',
      'info upstream fake: recovered',
      'info upstream fake: paused',
      'info upstream fake: goes on',
    ])
  })

  it('what came during a long round does not wait for more', async () => {
    const { log, upstream, clock, replicator } = setUp()
    log.appendMany('events', 0, 10)
    let isFirst = true
    upstream.beforeSend = () => {
      if (!isFirst) return
      isFirst = false
      clock.time += 150
      log.appendMany('events', 0, 10)
    }
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toHaveLength(20)
    expect(replicator.status().state).toBe('idle')
  })
})

describe('several upstreams of one log', () => {
  it('one that is stuck does not hold the other, and retention waits for the slowest', async () => {
    const log = new MemoryLog().addStream('events', 2)
    const stuck = new FakeUpstream()
    let release = () => {}
    stuck.beforeSend = () =>
      new Promise<void>((resolve) => {
        release = resolve
      })
    later.push(() => {
      stuck.beforeSend = () => {}
      release()
    })
    const kafka = setUp({ log, upstream: stuck })
    const archive = setUp({ log })
    kafka.replicator.start()
    archive.replicator.start()
    log.appendMany('events', 0, 100)
    for (let i = 0; i < 5; i++) {
      await settle()
      archive.clock.advance(1000)
      log.appendMany('events', 0, 100)
    }
    await settle()
    archive.clock.advance(1000)
    await settle()
    expect(archive.upstream.values.get('events/0')).toHaveLength(600)
    expect(stuck.values.has('events/0')).toBe(false)
    const floors = new UpstreamFloors(['kafka', 'archive'])
    expect(floors.of('events', 0)).toBe(0)
    floors.set('archive', () => archive.replicator.positions())
    floors.set('kafka', () => kafka.replicator.positions())
    expect(floors.of('events', 0)).toBe(0)
    stuck.beforeSend = () => {}
    release()
    await settle()
    kafka.clock.advance(100)
    await settle()
    expect(floors.of('events', 0)).toBe(600)
  })
})
