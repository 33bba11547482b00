import { describe, expect, it } from 'vitest'
import { readRecords, recordCountOf } from '../../broker/index.ts'
import type { FilterOptions } from '../../sync/filter/selection.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'
import { MemoryCache, OPTIONS, settle, setUp, unreachable, valuesOf } from './replicator-setup.ts'

const filter = (changes: Partial<FilterOptions>): FilterOptions => ({
  streams: ['*'],
  keys: { include: [], exclude: [] },
  oneIn: 1,
  newestPerKey: false,
  ...changes,
})
const SMALL = { round: { ...OPTIONS.round, bytesMax: 4096 } }

/** What a reader of the log would take, by partition, in order. */
function logged(log: MemoryLog, key = 'events/0') {
  return log.commits
    .filter(({ stream, partition }) => `${stream}/${partition}` === key)
    .flatMap(({ bytes }) => [...readRecords(bytes)])
    .map((record) => ({
      offset: record.offset,
      key: record.key?.toString() ?? null,
      value: record.value!.toString(),
    }))
}

describe('filters', () => {
  it('leave out records by key and by sampling, count them, and are done with them', async () => {
    const filters = [filter({ keys: { include: ['k1', 'k2*'], exclude: ['k25'] }, oneIn: 2 })]
    const { log, upstream, replicator } = setUp({ selection: { filters } })
    log.appendMany('events', 0, 500)
    log.append('events', 0, [
      { key: null, value: 'no key' },
      { key: 'k25', value: 'excluded' },
    ])
    replicator.start()
    await settle()
    const wanted = logged(log).filter(({ offset, key }) => offset % 2 === 0 && (key === 'k1' || key === 'k2'))
    expect(wanted.length).toBeGreaterThan(50)
    expect(upstream.values.get('events/0')).toEqual(wanted.map(({ value }) => value))
    expect(replicator.positions().get('events/0')).toBe(502)
    expect(upstream.positions.get('events/0')?.next).toBe(502)
    expect(replicator.status()).toMatchObject({
      state: 'idle',
      lagRecords: 0,
      sentRecords: wanted.length,
      filteredRecords: 502 - wanted.length,
      lagSecondsOldest: null,
    })
  })

  it('the first filter that names a stream is its own; a stream that none names goes whole', async () => {
    const log = new MemoryLog().addStream('events', 1).addStream('telemetry', 1)
    const filters = [filter({ streams: ['tele*'], oneIn: 10 }), filter({ streams: ['telemetry'], oneIn: 1 })]
    const { upstream, replicator } = setUp({ log, selection: { filters } })
    log.appendMany('events', 0, 30)
    log.appendMany('telemetry', 0, 30)
    replicator.start()
    await settle()
    expect(upstream.values.get('events/0')).toHaveLength(30)
    expect(upstream.values.get('telemetry/0')).toEqual([0, 10, 20].map((i) => `telemetry/0/${i}`))
  })

  it('ask nothing about streams that are not wanted, and do not hold their retention', async () => {
    const log = new MemoryLog().addStream('events', 1).addStream('debug', 1)
    const { upstream, replicator } = setUp({
      log,
      selection: { streams: { include: ['*'], exclude: ['deb*'] } },
    })
    const asked: string[] = []
    const recover = upstream.recover.bind(upstream)
    upstream.recover = async (identity, partitions) => {
      asked.push(...partitions.map(({ stream }) => stream))
      return recover(identity, partitions)
    }
    log.appendMany('debug', 0, 100)
    log.appendMany('events', 0, 10)
    replicator.start()
    await settle()
    expect(asked).toEqual(['events'])
    expect(upstream.values.has('debug/0')).toBe(false)
    expect(replicator.positions().get('debug/0')).toBe(Number.POSITIVE_INFINITY)
    expect(replicator.status()).toMatchObject({ state: 'idle', lagRecords: 0 })
    expect(replicator.status().partitions.map(({ stream }) => stream)).toEqual(['events'])
  })

  it('a stream that was not wanted for a while goes on where it was, also where upstream has forgotten it', async () => {
    const log = new MemoryLog().addStream('events', 1).addStream('debug', 1)
    const upstream = new FakeUpstream()
    const cache = new MemoryCache()
    const live = async (exclude: string[]) => {
      const { replicator } = setUp({
        log,
        upstream,
        cache,
        selection: { streams: { include: ['*'], exclude } },
      })
      log.appendMany('debug', 0, 10)
      log.appendMany('events', 0, 10)
      replicator.start()
      await settle()
      await replicator.close()
    }
    await live([])
    await live(['debug'])
    upstream.positions.delete('debug/0')
    await live([])
    expect(upstream.values.get('debug/0')).toEqual(valuesOf(0, 30, 'debug/0'))
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 30))
  })

  it('a log of which nothing goes moves its position now and then, not with a transaction for each record', async () => {
    const filters = [filter({ keys: { include: ['other'], exclude: [] } })]
    const { log, upstream, clock, cache, replicator } = setUp({ selection: { filters } })
    replicator.start()
    await settle()
    for (let i = 0; i < 100; i++) {
      log.appendMany('events', 0, 10)
      await settle()
      clock.advance(250)
      await settle()
    }
    expect(upstream.rounds.length).toBeGreaterThanOrEqual(2)
    expect(upstream.rounds.length).toBeLessThanOrEqual(4)
    expect(upstream.rounds.every(({ parts }) => parts.every(({ batches }) => batches.length === 0))).toBe(
      true,
    )
    expect(replicator.status()).toMatchObject({ state: 'idle', lagRecords: 0, sentRecords: 0 })
    for (let i = 0; i < 2; i++) {
      clock.advance(10_000)
      await settle()
    }
    expect(upstream.positions.get('events/0')?.next).toBe(1000)
    expect(replicator.positions().get('events/0')).toBe(1000)
    expect(cache.saved?.positions['events/0']?.next).toBe(1000)
    expect(replicator.status().filteredRecords).toBe(1000)
    const rounds = upstream.rounds.length
    clock.advance(600_000)
    await settle()
    expect(upstream.rounds).toHaveLength(rounds)
  })

  it('a position past what was left out is proved by the record before it', async () => {
    const filters = [filter({ oneIn: 7 })]
    const first = setUp({ selection: { filters } })
    first.log.appendMany('events', 0, 100)
    first.replicator.start()
    await settle()
    const { upstream, log } = first
    expect(upstream.positions.get('events/0')).toMatchObject({ next: 100, proof: expect.any(Number) })
    await first.replicator.close()
    const other = new MemoryLog().addStream('events', 2)
    other.append(
      'events',
      0,
      Array.from({ length: 100 }, () => ({ value: 'written on a cloned card' })),
    )
    const second = setUp({ log: other, upstream, selection: { filters } })
    second.replicator.start()
    await settle()
    expect(second.replicator.status()).toMatchObject({
      state: 'stopped',
      lastError: { code: 'HW_CHECKPOINT_MISMATCH' },
    })
    expect(log.openCursors).toBe(0)
  })

  it('of what waits only the newest of each key goes, in the order of the log', async () => {
    const { log, upstream, replicator } = setUp({ selection: { filters: [filter({ newestPerKey: true })] } })
    log.appendMany('events', 0, 1000)
    log.append('events', 0, [{ key: null, value: 'no key' }])
    replicator.start()
    await settle()
    const values = upstream.values.get('events/0')!
    const newest = new Map(logged(log).map(({ key, value }) => [key, value]))
    expect(values).toEqual(
      [...newest.values()].toSorted((a, b) =>
        a === 'no key' ? 1 : b === 'no key' ? -1 : Number(a.split('/')[2]) - Number(b.split('/')[2]),
      ),
    )
    expect(replicator.status()).toMatchObject({ passedOverRecords: 1001 - values.length, lagRecords: 0 })
    expect(upstream.positions.get('events/0')?.next).toBe(1001)
  })

  it('a read that fails while a round is on its way passes over nothing of what it had in hand', async () => {
    const { log, upstream, clock, replicator } = setUp({
      selection: { filters: [filter({ newestPerKey: true })] },
    })
    const append = (...keys: string[]) =>
      log.append(
        'events',
        0,
        keys.map((key) => ({ key, value: key })),
      )
    const read = log.read.bind(log)
    let failed = 0
    upstream.beforeSend = () => {
      if (upstream.rounds.length > 0 || failed > 0) return
      // the next round is being read
      append('b', 'c', 'd')
      log.read = async () => {
        failed++
        log.read = read
        throw new Error('the disk coughed')
      }
    }
    append('a')
    replicator.start()
    await settle()
    clock.advance(100)
    await settle()
    expect(failed).toBe(1)
    append('e', 'f')
    for (let i = 0; i < 5; i++) {
      clock.advance(20_000)
      await settle()
    }
    expect(upstream.values.get('events/0')).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  })

  it('more keys than a window has room for are all sent', async () => {
    const log = new MemoryLog().addStream('events', 300)
    const { upstream, replicator } = setUp({ log, selection: { filters: [filter({ newestPerKey: true })] } })
    for (let i = 0; i < 3000; i += 100) {
      const records = Array.from({ length: 100 }, (_, n) => ({
        key: `key-${(i + n) % 1500}`,
        value: String(i + n),
      }))
      log.append('events', 0, records)
    }
    replicator.start()
    await settle()
    const values = upstream.values.get('events/0')!.map(Number)
    expect(values).toEqual(values.toSorted((a, b) => a - b))
    const last = new Map(values.map((value) => [value % 1500, value]))
    expect([...last.values()].every((value) => value >= 1500)).toBe(true)
    expect(last.size).toBe(1500)
  })
})

describe('crashes between any two rounds', () => {
  const seed = testSeed()
  const source = seededRandom(seed)
  const random = () => source.next()

  it(`lose no newest value and repeat nothing, whatever is filtered (seed ${seed})`, async () => {
    for (const [trial, options] of [
      filter({ newestPerKey: true }),
      filter({ oneIn: 3 }),
      filter({ newestPerKey: true, keys: { include: [], exclude: ['k3'] } }),
      filter({ newestPerKey: true, oneIn: 2 }),
    ].entries()) {
      const log = new MemoryLog().addStream('events', 2)
      const upstream = new FakeUpstream()
      const cache = new MemoryCache()
      const matches = (record: { offset: number; key: string | null }) =>
        record.offset % options.oneIn === 0 && !options.keys.exclude.includes(record.key!)
      for (let life = 0; life < 12; life++) {
        const { clock, replicator } = setUp({
          log,
          upstream,
          cache,
          options: SMALL,
          selection: { filters: [options] },
        })
        upstream.beforeSend = () => {
          if (random() < 0.2) throw unreachable()
        }
        upstream.afterSend = () => {
          if (random() < 0.2) throw unreachable()
        }
        replicator.start()
        for (let i = 0; i < 4; i++) {
          log.appendMany(
            'events',
            random() < 0.5 ? 0 : 1,
            1 + Math.floor(random() * 200),
            1 + Math.floor(random() * 30),
          )
          for (let turns = Math.floor(random() * 30); turns > 0; turns--) await new Promise(setImmediate)
          clock.advance(Math.floor(random() * 20_000))
        }
        await replicator.close()
      }
      upstream.beforeSend = () => {}
      upstream.afterSend = () => {}
      const { replicator } = setUp({ log, upstream, cache, selection: { filters: [options] } })
      replicator.start()
      await settle()
      for (const partition of [0, 1]) {
        const records = logged(log, `events/${partition}`).filter(matches)
        const values = upstream.values.get(`events/${partition}`) ?? []
        const order = new Map(records.map(({ value }, i) => [value, i]))
        const indexes = values.map((value) => order.get(value) ?? Number.NaN)
        expect(indexes, `trial ${trial}`).toEqual([...new Set(indexes)].toSorted((a, b) => a - b))
        const expected = new Map(records.map(({ key, value }) => [key, value]))
        const got = new Map(values.map((value) => [records[order.get(value)!]!.key, value]))
        expect(got, `trial ${trial}`).toEqual(expected)
        if (!options.newestPerKey) expect(values).toEqual(records.map(({ value }) => value))
        expect(upstream.positions.get(`events/${partition}`)?.next ?? 0).toBe(
          log.partitions()[partition]!.durableOffset,
        )
      }
    }
  })
})

describe('priorities', () => {
  const withAlarms = () => {
    const log = new MemoryLog().addStream('events', 2).addStream('alarms', 1)
    log.priorities.set('alarms', 9)
    return log
  }

  it('a stream of a higher priority overtakes the backlog of a lower one, each in its own order', async () => {
    const log = withAlarms()
    const { upstream, replicator } = setUp({ log, options: SMALL })
    log.appendMany('events', 0, 2000)
    log.appendMany('events', 1, 2000)
    upstream.afterSend = () => {
      if (upstream.rounds.length === 3) log.appendMany('alarms', 0, 3)
    }
    replicator.start()
    await settle()
    await settle()
    const streams = upstream.rounds.map(({ parts }) => parts.map(({ stream }) => stream))
    const first = streams.findIndex((names) => names.includes('alarms'))
    expect(first).toBeGreaterThanOrEqual(3)
    expect(first).toBeLessThanOrEqual(4)
    expect(streams.length).toBeGreaterThan(20)
    expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 3, 'alarms/0'))
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 2000))
    expect(upstream.values.get('events/1')).toEqual(valuesOf(0, 2000, 'events/1'))
  })

  it('lower ones keep a share of each round', async () => {
    const log = withAlarms()
    const { upstream, replicator } = setUp({ log, options: SMALL })
    log.appendMany('alarms', 0, 3000)
    log.appendMany('events', 0, 3000)
    replicator.start()
    await settle()
    const bytesOf = (stream: string) =>
      upstream.rounds.slice(0, 8).map(({ parts }) =>
        parts
          .filter((part) => part.stream === stream)
          .flatMap(({ batches }) => batches)
          .reduce((sum, { bytes }) => sum + recordCountOf(bytes), 0),
      )
    expect(Math.min(...bytesOf('events'))).toBeGreaterThan(0)
    const total = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0)
    expect(total(bytesOf('alarms'))).toBeGreaterThan(total(bytesOf('events')) * 3)
  })

  it('the upstream can give its own', async () => {
    const log = withAlarms()
    const { upstream, replicator } = setUp({
      log,
      options: SMALL,
      selection: { priorities: { 'al*': 0, '*': 3 } },
    })
    log.appendMany('alarms', 0, 1000)
    log.appendMany('events', 0, 1000)
    replicator.start()
    await settle()
    const ends = (stream: string) =>
      upstream.rounds.findLastIndex(({ parts }) => parts.some((part) => part.stream === stream))
    expect(ends('events')).toBeLessThan(ends('alarms'))
  })

  it('memory stays within a round or two however long the backlogs are', async () => {
    const log = withAlarms()
    const { upstream, replicator } = setUp({ log, options: SMALL })
    log.appendMany('alarms', 0, 5000)
    log.appendMany('events', 0, 5000)
    replicator.start()
    await settle()
    const bytes = upstream.rounds.map(({ parts }) =>
      parts.flatMap(({ batches }) => batches).reduce((sum, batch) => sum + batch.bytes.length, 0),
    )
    expect(Math.max(...bytes)).toBeLessThan(4096 + 2 * 1000)
  })
})
