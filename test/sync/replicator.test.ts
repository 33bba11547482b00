import { describe, expect, it } from 'vitest'
import type { HeadwaterError } from '../../broker/index.ts'
import { FencedError, TopicMissingError, UpstreamTimeoutError } from '../../sync/errors.ts'
import { OPTIONS, settle, setUp, unreachable, valuesOf } from './replicator-setup.ts'

describe('a replicator', () => {
  it('sends a backlog, is idle then, and tells how far it came', async () => {
    const { log, upstream, replicator } = setUp()
    log.appendMany('events', 0, 500)
    log.appendMany('events', 1, 30)
    expect(replicator.status()).toMatchObject({ state: 'recovering', lagRecords: 530 })
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 500))
    expect(upstream.values.get('events/1')).toEqual(valuesOf(0, 30, 'events/1'))
    expect(replicator.status()).toMatchObject({
      state: 'idle',
      lagRecords: 0,
      lagSecondsOldest: null,
      sentRecords: 530,
      tries: 0,
      lastError: null,
      recordsPerSecond: 530,
    })
    expect(replicator.positions().get('events/0')).toBe(500)
  })

  it('waits a little for more records when upstream is up to date, and sends them as one round', async () => {
    const { log, upstream, clock, replicator } = setUp()
    replicator.start()
    await settle()
    for (let i = 0; i < 5; i++) {
      log.appendMany('events', 0, 1)
      await settle()
      clock.advance(15)
    }
    await settle()
    expect(upstream.rounds).toHaveLength(0)
    clock.advance(25)
    await settle()
    expect(upstream.rounds).toHaveLength(1)
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 5))
  })

  it('does not wait while there is a backlog, and bounds its rounds', async () => {
    const { log, upstream, replicator } = setUp({
      options: { round: { ...OPTIONS.round, bytesMax: 4096 } },
    })
    log.appendMany('events', 0, 1000)
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')?.length).toBeGreaterThan(900)
    const sizes = upstream.rounds.map(({ parts }) =>
      parts.flatMap((p) => p.batches).reduce((n, b) => n + b.bytes.length, 0),
    )
    expect(sizes.length).toBeGreaterThan(5)
    expect(Math.max(...sizes)).toBeLessThan(4096 + 1000)
  })

  it('makes rounds larger while they are quick and smaller when the link is slow', async () => {
    const { log, upstream, clock, replicator } = setUp()
    let slow = false
    upstream.beforeSend = () => {
      if (slow) clock.time += 5000
    }
    log.appendMany('events', 0, 60_000, 100)
    replicator.start()
    await settle()
    const bytes = () =>
      upstream.rounds.map(({ parts }) =>
        parts.flatMap((p) => p.batches).reduce((n, b) => n + b.bytes.length, 0),
      )
    expect(Math.max(...bytes())).toBeGreaterThan(500_000)
    slow = true
    const before = upstream.rounds.length
    log.appendMany('events', 0, 150_000, 100)
    await settle()
    clock.advance(100)
    await settle()
    const slowed = bytes().slice(before)
    expect(slowed.at(-2)).toBeLessThan(slowed[0]! / 8)
  })

  it('reads the next round while one is on its way', async () => {
    const { log, upstream, replicator } = setUp({ options: { round: { ...OPTIONS.round, bytesMax: 4096 } } })
    let release = () => {}
    upstream.beforeSend = () =>
      new Promise<void>((resolve) => {
        release = resolve
      })
    log.appendMany('events', 0, 1000)
    replicator.start()
    await settle()
    const failure = new Error('a read after the read-ahead')
    log.readError = failure
    upstream.beforeSend = () => {
      log.readError = failure
    }
    release()
    await settle()
    expect(upstream.rounds.length).toBeGreaterThanOrEqual(2)
  })

  it('backs off by doubling to a cap while upstream is away, logs once, and sends nothing twice or out of order after', async () => {
    const { log, upstream, clock, lines, replicator } = setUp()
    let away = true
    upstream.beforeRecover = () => {
      if (away) throw unreachable()
    }
    log.appendMany('events', 0, 10)
    replicator.start()
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      await settle()
      expect(replicator.status()).toMatchObject({
        state: 'backoff',
        tries: i + 1,
        lastError: { code: 'HW_UPSTREAM_UNREACHABLE' },
      })
      waits.push(...clock.waiting)
      log.appendMany('events', 0, 10)
      clock.advance(waits.at(-1)!)
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000])
    expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(1)
    away = false
    await settle()
    clock.advance(20_000)
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 90))
    expect(lines.at(-1)).toMatch(/recovered after 8 tries/)
    expect(replicator.status()).toMatchObject({ state: 'idle', tries: 0, lastError: null })
  })

  it('waits the whole cap for what does not pass in a second', async () => {
    const { upstream, clock, replicator } = setUp()
    upstream.beforeRecover = () => {
      throw new TopicMissingError('events', 'kafka-topics.sh')
    }
    replicator.start()
    await settle()
    expect(clock.waiting).toEqual([20_000])
  })

  it('recovers after an answer was lost, and goes on from what upstream says', async () => {
    const { log, upstream, clock, replicator } = setUp({
      options: { round: { ...OPTIONS.round, bytesMax: 4096 } },
    })
    log.appendMany('events', 0, 1000)
    let calls = 0
    upstream.beforeSend = () => {
      if (++calls % 5 === 2) throw unreachable()
    }
    upstream.afterSend = () => {
      if (calls % 5 === 4) throw unreachable()
    }
    replicator.start()
    for (let i = 0; i < 40; i++) {
      await settle()
      clock.advance(20_000)
    }
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 1000))
    expect(upstream.recovers).toBeGreaterThan(3)
    expect(upstream.disconnects).toBeGreaterThan(3)
    expect(log.openCursors).toBe(1)
  })

  it('halves the round after a timeout', async () => {
    const { log, upstream, clock, replicator } = setUp()
    log.appendMany('events', 0, 20_000, 100)
    const sizes: number[] = []
    upstream.beforeSend = ({ parts }) => {
      sizes.push(parts.flatMap((p) => p.batches).reduce((n, b) => n + b.bytes.length, 0))
      if (sizes.length <= 3) throw new UpstreamTimeoutError('no answer')
    }
    replicator.start()
    for (let i = 0; i < 4; i++) {
      await settle()
      clock.advance(20_000)
    }
    expect(sizes[1]).toBeLessThan(sizes[0]! * 0.6)
    expect(sizes[3]).toBeLessThan(sizes[0]! * 0.2)
  })

  it('stops on what must not be retried, alarms, and stays so until a person resumes it', async () => {
    const { log, upstream, clock, lines, replicator } = setUp()
    upstream.beforeSend = () => {
      throw new FencedError('headwater.edge-a', 'while sending')
    }
    log.appendMany('events', 0, 10)
    replicator.start()
    await settle()
    clock.advance(1_000_000)
    log.appendMany('events', 0, 10)
    replicator.now()
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'stopped', lastError: { code: 'HW_FENCED' } })
    expect(upstream.recovers).toBe(1)
    expect(lines.filter((line) => line.startsWith('error'))).toHaveLength(1)
    upstream.beforeSend = () => {}
    replicator.resume()
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'idle', lagRecords: 0 })
  })

  it('pauses after the round under way, and goes on where it was', async () => {
    const { log, upstream, replicator } = setUp()
    replicator.start()
    log.appendMany('events', 0, 10)
    await settle()
    replicator.pause()
    await settle()
    expect(replicator.status().state).toBe('paused')
    expect(upstream.disconnects).toBe(1)
    log.appendMany('events', 0, 10)
    await settle()
    expect(replicator.status().lagRecords).toBe(10)
    replicator.resume()
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 20))
    expect(log.openCursors).toBe(1)
  })

  it('can be paused in a backoff and when it has stopped', async () => {
    const { upstream, replicator } = setUp()
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    replicator.start()
    await settle()
    replicator.pause()
    await settle()
    expect(replicator.status().state).toBe('paused')
    upstream.beforeRecover = () => {
      throw new FencedError('p', 'x')
    }
    replicator.resume()
    await settle()
    expect(replicator.status().state).toBe('stopped')
    replicator.pause()
    await settle()
    expect(replicator.status().state).toBe('paused')
  })

  it('tries at once when asked to', async () => {
    const { log, upstream, replicator } = setUp()
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    replicator.start()
    await settle()
    upstream.beforeRecover = () => {}
    log.appendMany('events', 0, 10)
    replicator.now()
    await settle()
    expect(replicator.status().state).toBe('idle')
    log.appendMany('events', 0, 10)
    await settle()
    expect(upstream.values.get('events/0')).toHaveLength(10)
    replicator.now()
    await settle()
    expect(upstream.values.get('events/0')).toHaveLength(20)
  })

  it('asks upstream about partitions that appear while it runs', async () => {
    const { log, upstream, clock, replicator } = setUp()
    replicator.start()
    await settle()
    log.addStream('alarms', 1).appendMany('alarms', 0, 5)
    log.appendMany('events', 1, 5)
    await settle()
    clock.advance(100)
    await settle()
    expect(upstream.recovers).toBe(2)
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 5, 'alarms/0'))
    expect(upstream.values.get('events/1')).toEqual(valuesOf(0, 5, 'events/1'))
    expect(replicator.status()).toMatchObject({ state: 'idle', tries: 0 })
  })

  it('goes on after the log fails to read', async () => {
    const { log, upstream, clock, replicator } = setUp()
    log.appendMany('events', 0, 10)
    log.readError = new Error('the disk coughed')
    replicator.start()
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'backoff', lastError: { code: 'HW_SYNC_INTERNAL' } })
    clock.advance(1000)
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 10))
  })

  it('closes in the middle of anything, and remembers where upstream stands', async () => {
    const { log, upstream, cache, clock, replicator } = setUp()
    log.appendMany('events', 0, 10)
    replicator.start()
    await settle()
    let fail = (_: HeadwaterError) => {}
    upstream.beforeSend = () =>
      new Promise<void>((_, reject) => {
        fail = reject
      })
    upstream.disconnect = async () => fail(unreachable())
    log.appendMany('events', 0, 10)
    await settle()
    clock.advance(100)
    await settle()
    expect(replicator.status().state).toBe('sending')
    const closing = replicator.close()
    await settle()
    clock.advance(3000)
    await closing
    expect(replicator.status().state).toBe('closed')
    expect(upstream.closed).toBe(true)
    expect(cache.saved?.positions['events/0']).toEqual({ next: 10, place: 'place-1' })
    expect(log.openCursors).toBe(0)
  })
})
