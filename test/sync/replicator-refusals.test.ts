/** One stream of several is refused: the others go on, it is tried again by itself, and nothing of it is lost or sent twice. */
import { describe, expect, it } from 'vitest'
import { partitionKey } from '../../broker/index.ts'
import { TopicMissingError, UpstreamAnswerError, UpstreamRecordTooLargeError } from '../../sync/errors.ts'
import { Link, UNLIMITED } from '../../sync/link/link.ts'
import type { Round } from '../../sync/upstream.ts'
import { testSeed } from '../support/random.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'
import {
  ManualClock,
  MemoryCache,
  OPTIONS,
  settle,
  setUp,
  unreachable,
  valuesOf,
} from './replicator-setup.ts'
import { seededRandom } from './stored-batches.ts'

const CAP_MS = OPTIONS.backoff.msMax

const newLog = () => new MemoryLog().addStream('events', 2).addStream('alarms', 1)
const missing = () => new TopicMissingError('edge.alarms', 'kafka-topics.sh --create').of('alarms')
const tooLarge = (stream: string) =>
  new UpstreamRecordTooLargeError(stream, 0, 7, 2_000_000, `edge.${stream}`).of(stream)
const has = (round: Round, stream: string) => round.parts.some((part) => part.stream === stream)

function grow(log: MemoryLog, count = 10): void {
  log.appendMany('events', 0, count)
  log.appendMany('alarms', 0, count)
  log.appendMany('events', 1, count)
}

describe('a replicator with a stream that upstream refuses', () => {
  it('sends the others, and tells of the refused one with its hint', async () => {
    const { log, upstream, clock, lines, replicator } = setUp({ log: newLog() })
    upstream.refused.set('alarms', missing())
    grow(log)
    replicator.start()
    await settle()
    grow(log)
    await settle()
    clock.advance(100)
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 20))
    expect(upstream.values.get('events/1')).toEqual(valuesOf(0, 20, 'events/1'))
    expect(upstream.values.has('alarms/0')).toBe(false)
    expect(upstream.recovers).toBe(1)
    expect(replicator.status()).toMatchObject({
      state: 'idle',
      lagRecords: 20,
      lastError: null,
      refused: [
        {
          stream: 'alarms',
          code: 'HW_TOPIC_MISSING',
          message: expect.stringContaining('edge.alarms'),
          hint: 'create it: kafka-topics.sh --create',
          tries: 1,
          retryAt: clock.now() - 100 + CAP_MS,
        },
      ],
    })
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
      expect.stringMatching(/^warn upstream fake, stream alarms: HW_TOPIC_MISSING: .*create it/),
    ])
  })

  it('asks for it again at the slow cap, and goes on by itself when the cause is gone', async () => {
    const { log, upstream, clock, lines, replicator } = setUp({ log: newLog() })
    upstream.refused.set('alarms', missing())
    grow(log)
    replicator.start()
    await settle()
    for (let tries = 2; tries < 5; tries++) {
      clock.advance(CAP_MS - 1)
      await settle()
      expect(upstream.recovers).toBe(tries - 1)
      clock.advance(1)
      await settle()
      expect(upstream.recovers).toBe(tries)
      expect(replicator.status().refused[0]!.tries).toBe(tries)
    }
    upstream.refused.clear()
    grow(log)
    clock.advance(CAP_MS)
    await settle()
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 20, 'alarms/0'))
    expect(replicator.status()).toMatchObject({ state: 'idle', lagRecords: 0, refused: [] })
    expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(1)
    expect(lines.at(-1)).toMatch(/stream alarms: recovered after 4 tries/)
  })

  it('waits by growing pauses where it may pass in a second', async () => {
    const { log, upstream, clock, replicator } = setUp({ log: newLog() })
    upstream.refused.set('alarms', new UpstreamAnswerError('NOT_ENOUGH_REPLICAS', 'x', 'y').of('alarms'))
    grow(log)
    replicator.start()
    const waits: number[] = []
    for (let i = 0; i < 7; i++) {
      await settle()
      waits.push(clock.waiting[0]!)
      clock.advance(waits.at(-1)!)
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 20_000, 20_000])
  })

  it('asks for it at once by `now`', async () => {
    const { log, upstream, clock, replicator } = setUp({ log: newLog() })
    upstream.refused.set('alarms', missing())
    grow(log)
    replicator.start()
    await settle()
    upstream.refused.clear()
    replicator.now()
    await settle()
    clock.advance(100)
    await settle()
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 10, 'alarms/0'))
    expect(clock.now()).toBeLessThan(1_800_000_000_000 + CAP_MS)
  })

  it('asks for one that only a person can put right when that person says so, and never by itself', async () => {
    const cache = new MemoryCache()
    const log = newLog()
    const upstream = new FakeUpstream()
    grow(log)
    // Upstream has more of the alarms than this log.
    upstream.positions.set('alarms/0', { next: 15, proof: null })
    const { clock, replicator } = setUp({ log, upstream, cache })
    replicator.start()
    await settle()
    clock.advance(100 * CAP_MS)
    replicator.now()
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 10))
    expect(upstream.recovers).toBe(1)
    expect(replicator.status()).toMatchObject({
      state: 'idle',
      refused: [{ stream: 'alarms', code: 'HW_CHECKPOINT_AHEAD', retryAt: null }],
    })
    upstream.positions.delete('alarms/0')
    await replicator.resume()
    await settle()
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 10, 'alarms/0'))
    expect(replicator.status().refused).toEqual([])
  })

  it('is as one that has failed, or stopped, where upstream takes none', async () => {
    const first = setUp({ log: newLog() })
    first.upstream.refused.set('alarms', missing()).set('events', tooLarge('events'))
    grow(first.log)
    first.replicator.start()
    await settle()
    expect(first.replicator.status()).toMatchObject({
      state: 'backoff',
      tries: 1,
      lastError: { code: 'HW_TOPIC_MISSING' },
      refused: [{ stream: 'alarms' }, { stream: 'events' }],
    })
    first.clock.advance(CAP_MS)
    await settle()
    expect(first.upstream.asked).toEqual(['events', 'alarms'])
    expect(first.replicator.status()).toMatchObject({ state: 'backoff', tries: 2 })

    const second = setUp({ log: new MemoryLog().addStream('events', 2) })
    second.log.appendMany('events', 0, 10)
    second.upstream.positions.set('events/0', { next: 11, proof: null })
    second.replicator.start()
    await settle()
    expect(second.replicator.status()).toMatchObject({ state: 'stopped', refused: [] })
  })

  it('leaves a stream out that is refused in the middle of a run, at once, without a try for the others', async () => {
    const { log, upstream, clock, replicator } = setUp({ log: newLog() })
    replicator.start()
    grow(log)
    await settle()
    clock.advance(100)
    await settle()
    upstream.beforeSend = (round) => {
      if (has(round, 'alarms')) throw tooLarge('alarms')
    }
    grow(log)
    await settle()
    clock.advance(100)
    await settle()
    expect(upstream.values.get('events/1')).toEqual(valuesOf(0, 20, 'events/1'))
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 10, 'alarms/0'))
    expect(upstream.asked).toEqual(['events'])
    expect(replicator.status()).toMatchObject({
      state: 'idle',
      tries: 0,
      lastError: null,
      refused: [{ stream: 'alarms', code: 'HW_UPSTREAM_RECORD_TOO_LARGE' }],
    })
    upstream.beforeSend = () => {}
    clock.advance(CAP_MS)
    await settle()
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 20, 'alarms/0'))
  })

  it('keeps what was not sent from retention, also over a restart, and remembers the place', async () => {
    const cache = new MemoryCache()
    const log = newLog()
    const first = setUp({ log, cache })
    grow(log)
    first.replicator.start()
    await settle()
    await first.replicator.close()
    grow(log)
    const { upstream, replicator } = setUp({ log, cache, upstream: first.upstream })
    upstream.refused.set('alarms', missing())
    replicator.start()
    await settle()
    expect(replicator.positions()).toEqual(
      new Map([
        ['events/0', 20],
        ['events/1', 20],
        ['alarms/0', 10],
      ]),
    )
    expect(replicator.status().partitions.find(({ stream }) => stream === 'alarms')).toMatchObject({
      position: 10,
      lagRecords: 10,
    })
    await replicator.close()
    expect(cache.saved?.positions['alarms/0']).toEqual({ next: 10, place: 'place-1' })
    expect(cache.saved?.positions['events/0']).toEqual({ next: 20, place: 'place-1' })
  })

  it('keeps all of a stream from retention while upstream has something else than this log', async () => {
    const { log, upstream, replicator } = setUp({ log: newLog() })
    grow(log)
    replicator.start()
    await settle()
    expect(replicator.positions().get('alarms/0')).toBe(10)
    upstream.positions.set('alarms/0', { next: 10, proof: 1 })
    upstream.beforeSend = () => {
      upstream.beforeSend = () => {}
      throw unreachable()
    }
    replicator.pause()
    await settle()
    await replicator.resume()
    await settle()
    expect(replicator.status().refused).toMatchObject([{ code: 'HW_CHECKPOINT_MISMATCH' }])
    expect(replicator.positions().has('alarms/0')).toBe(false)
    expect(replicator.positions().get('events/0')).toBe(10)
  })

  it('tells how old what waits in it is, and when the others are drained', async () => {
    const { log, upstream, clock, replicator } = setUp({ log: newLog() })
    upstream.refused.set('alarms', missing())
    log.append('alarms', 0, [{ value: 'a', timestamp: clock.now() - 90_000 }])
    replicator.start()
    await settle()
    expect(replicator.status()).toMatchObject({
      state: 'idle',
      lagSecondsOldest: 90,
      drainSeconds: 0,
      lagRecords: 1,
    })
  })

  it('does not open a closed link for it', async () => {
    const log = newLog()
    log.priorities.set('alarms', 9)
    const clock = new ManualClock()
    const budget = { bytes: 1, period: 'month', resetDay: 1, timezone: 'UTC', whenUsed: 'urgent' } as const
    const sink = { info() {}, warn() {}, error() {} }
    const link = await Link.open({ ...UNLIMITED, budgets: [budget] }, { name: 'fake', clock, sink })
    const { upstream, replicator } = setUp({ log, link, clock })
    upstream.refused.set('alarms', missing())
    grow(log)
    replicator.start()
    await settle()
    expect(replicator.status().state).toBe('held')
    const { recovers } = upstream
    log.appendMany('alarms', 0, 5)
    await settle()
    expect(upstream.recovers).toBe(recovers)
    // Once it is time again, it is asked for.
    upstream.refused.clear()
    clock.advance(60_000)
    await settle()
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 15, 'alarms/0'))
  })

  it('rewinds the others, and says for the refused one why it cannot', async () => {
    const { log, upstream, replicator } = setUp({ log: newLog() })
    upstream.refused.set('alarms', missing())
    grow(log)
    replicator.start()
    await settle()
    await expect(replicator.rewind({ stream: 'alarms', to: new Map([[0, 5]]) })).rejects.toMatchObject({
      code: 'HW_TOPIC_MISSING',
    })
    await replicator.rewind({ stream: 'events', to: new Map([[0, 5]]) })
    await settle()
    expect(upstream.values.get('events/0')).toEqual([...valuesOf(0, 10), ...valuesOf(5, 10)])
  })

  it('loses and repeats nothing, whatever is refused when', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const streams = ['events', 'alarms', 'traces', 'states']
    const log = new MemoryLog()
    for (const stream of streams) log.addStream(stream, 2)
    const options = { round: { ...OPTIONS.round, bytesMax: 2048 } }
    const { upstream, clock, replicator } = setUp({ log, options })
    upstream.beforeRecover = () => {
      upstream.refused.clear()
      for (const stream of streams) {
        if (random() < 0.2) upstream.refused.set(stream, missing().of(stream))
      }
      if (random() < 0.1) throw unreachable()
    }
    const fail = (round: Round) => {
      const { stream } = round.parts[Math.floor(random() * round.parts.length)]!
      if (random() < 0.15) throw random() < 0.5 ? tooLarge(stream) : unreachable()
    }
    upstream.beforeSend = fail
    // An answer that is lost: the round is there.
    upstream.afterSend = () => {
      if (random() < 0.05) throw unreachable()
    }
    replicator.start()
    for (let i = 0; i < 150; i++) {
      for (const stream of streams) log.appendMany(stream, Math.floor(random() * 2), 5)
      if (random() < 0.05) replicator.now()
      await settle()
      clock.advance(Math.floor(random() * 10_000))
    }
    upstream.beforeRecover = () => upstream.refused.clear()
    upstream.beforeSend = () => {}
    upstream.afterSend = () => {}
    for (let i = 0; i < 5; i++) {
      await settle()
      clock.advance(CAP_MS)
    }
    await settle()
    for (const { stream, partition, durableOffset } of log.partitions()) {
      const key = partitionKey(stream, partition)
      expect(upstream.values.get(key), `seed ${seed}, ${key}`).toEqual(valuesOf(0, durableOffset, key))
    }
    expect(replicator.status()).toMatchObject({ state: 'idle', lagRecords: 0, refused: [] })
  })
})
