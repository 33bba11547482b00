import { afterEach, describe, expect, it } from 'vitest'
import type { HeadwaterError } from '../../broker/index.ts'
import type { CachedCheckpoint, CheckpointCache } from '../../sync/checkpoint.ts'
import type { Clock } from '../../sync/clock.ts'
import {
  FencedError,
  TopicMissingError,
  UpstreamTimeoutError,
  UpstreamUnreachableError,
} from '../../sync/errors.ts'
import { Replicator, type ReplicatorOptions } from '../../sync/replicator.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'

const OPTIONS: ReplicatorOptions = {
  round: { bytesMin: 1024, bytesMax: 1 << 20, msTarget: 2000, lingerMs: 100 },
  backoff: { firstMs: 1000, msMax: 20_000 },
}

/** Time that moves when a test moves it. */
class ManualClock implements Clock {
  time = 1_800_000_000_000
  #timers: { at: number; callback: () => void }[] = []
  now() {
    return this.time
  }
  monotonic() {
    return this.time
  }
  after(ms: number, callback: () => void) {
    const timer = { at: this.time + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }
  get waiting(): number[] {
    return this.#timers.map(({ at }) => at - this.time)
  }
  advance(ms: number) {
    this.time += ms
    const due = this.#timers.filter(({ at }) => at <= this.time)
    this.#timers = this.#timers.filter(({ at }) => at > this.time)
    for (const { callback } of due) callback()
  }
}

class MemoryCache implements CheckpointCache {
  saved: CachedCheckpoint | null = null
  saves = 0
  async load() {
    return this.saved
  }
  async save(_name: string, checkpoint: CachedCheckpoint) {
    this.saves++
    this.saved = structuredClone(checkpoint)
  }
}

const open: Replicator[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((replicator) => replicator.close()))
})

function setUp(
  changes: {
    log?: MemoryLog
    upstream?: FakeUpstream
    cache?: MemoryCache
    options?: Partial<ReplicatorOptions>
  } = {},
) {
  const log = changes.log ?? new MemoryLog().addStream('events', 2)
  const upstream = changes.upstream ?? new FakeUpstream()
  const cache = changes.cache ?? new MemoryCache()
  const clock = new ManualClock()
  const lines: string[] = []
  const sink = {
    info: (message: string) => lines.push(`info ${message}`),
    warn: (message: string) => lines.push(`warn ${message}`),
    error: (message: string) => lines.push(`error ${message}`),
  }
  const options = { ...OPTIONS, ...changes.options }
  const replicator = new Replicator(options, {
    log,
    upstream,
    cache,
    sink,
    clock,
    random: () => 1 - Number.EPSILON,
  })
  open.push(replicator)
  return { log, upstream, cache, clock, lines, replicator }
}

/** Lets everything happen that needs no time. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
}

const unreachable = () => new UpstreamUnreachableError('Kafka at 127.0.0.1:1: refused', 'start it')
const valuesOf = (from: number, to: number, key = 'events/0') =>
  Array.from({ length: to - from }, (_, i) => `${key}/${from + i}`)

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
})
