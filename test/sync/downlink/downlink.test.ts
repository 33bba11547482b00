/** What a downlink does between a topic and a broker that fail where a test says so. */
import { describe, expect, it } from 'vitest'
import { LogFullError } from '../../../broker/index.ts'
import { UpstreamUnreachableError } from '../../../sync/errors.ts'
import { FakePublisher, FakeSource, NOW, settle, setUp } from './setup.ts'

const unreachable = () => new UpstreamUnreachableError('Kafka at 127.0.0.1:1: refused', 'start it')
const payloads = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `v${from + i}`)

describe('a downlink', () => {
  it('publishes each record with its place and its headers, and then remembers where it is', async () => {
    const { source, publisher, facts, downlink } = setUp()
    source.add(0)
    downlink.start()
    await settle()
    source.add(0, { key: Buffer.from('b') })
    await settle()
    expect(
      publisher.published.map(({ topic, source: { name, epoch, place } }) => [topic, name, epoch, place]),
    ).toEqual([
      ['commands/k', 'downlink/commands/0', 't1/0', 0],
      ['commands/b', 'downlink/commands/0', 't1/0', 1],
    ])
    expect(publisher.published[1]!.headers.map(({ key, value }) => [key, String(value)])).toEqual([
      ['hw.hops', '1'],
      ['hw.from', 'c1/commands/0/1'],
    ])
    expect(facts.next(0)).toBe(2)
    expect(downlink.status()).toMatchObject({ state: 'idle', delivered: 2, lagRecords: 0, lastError: null })
  })

  it('goes on where it was after a restart, and remembers `latest` of the first time', async () => {
    const source = new FakeSource()
    source.add(0)
    const first = setUp({ source, options: { start: 'latest' } })
    first.downlink.start()
    await settle()
    await first.downlink.close()
    source.add(0)
    const again = setUp({ source, facts: first.facts, options: { start: 'latest' } })
    again.downlink.start()
    await settle()
    expect(first.publisher.payloads).toEqual([])
    expect(again.publisher.payloads).toEqual(['v1'])
  })

  it('does not hand over more than a few hundred messages at once, and remembers each lot', async () => {
    const { source, publisher, facts, downlink } = setUp()
    for (let i = 0; i < 600; i++) source.add(0)
    downlink.start()
    await settle()
    expect(publisher.payloads).toEqual(payloads(0, 600))
    expect(publisher.calls).toBe(3)
    expect(facts.puts).toBe(4)
  })

  it('goes on behind what is done when the broker takes no more, and skips nothing', async () => {
    const { source, publisher, facts, clock, lines, downlink } = setUp()
    publisher.refusals.push({ count: 2, error: new LogFullError('main') })
    for (let i = 0; i < 5; i++) source.add(0)
    downlink.start()
    await settle()
    expect(downlink.status()).toMatchObject({ state: 'backoff', tries: 1, delivered: 2, lagRecords: 3 })
    expect(downlink.status().lastError?.code).toBe('HW_LOG_FULL')
    expect(facts.next(0)).toBe(2)
    clock.advance(1000)
    await settle()
    expect(publisher.payloads).toEqual(payloads(0, 5))
    expect(downlink.status()).toMatchObject({ state: 'idle', tries: 0, lastError: null })
    expect(lines).toEqual([
      expect.stringMatching(/^warn downlink commands: HW_LOG_FULL/),
      'info downlink commands: recovered after 1 try',
    ])
  })

  it('counts records it passes over with those that are done, and stops before one that is not', async () => {
    const { source, publisher, facts, clock, downlink } = setUp()
    const bad = { key: Buffer.from('a/#') }
    // m x m x m x: the second message is refused
    for (let i = 0; i < 6; i++) source.add(0, i % 2 === 1 ? bad : {})
    publisher.refusals.push({ count: 1, error: new LogFullError('main') })
    downlink.start()
    await settle()
    expect(facts.next(0)).toBe(2)
    clock.advance(1000)
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'v2', 'v4'])
    expect(facts.next(0)).toBe(6)
  })

  it('passes over what the log does not take, and goes on', async () => {
    const { source, publisher, facts, lines, downlink } = setUp()
    publisher.refusals.push({ count: 3, error: null, tooLarge: [1] })
    for (let i = 0; i < 3; i++) source.add(0)
    downlink.start()
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'v2'])
    expect(downlink.status()).toMatchObject({ delivered: 2, passedOver: { large: 1 } })
    expect(facts.next(0)).toBe(3)
    expect(lines).toEqual([expect.stringContaining('passed over partition 0 at offset 1')])
  })

  it('tells once of many keys that make no topic, and is not held up by them', async () => {
    const { source, publisher, lines, downlink } = setUp()
    for (let i = 0; i < 50; i++) source.add(0, { key: Buffer.from(`${i}/+`) })
    source.add(0)
    downlink.start()
    await settle()
    expect(publisher.payloads).toEqual(['v50'])
    expect(downlink.status().passedOver.topic).toBe(50)
    expect(lines).toEqual(['warn downlink commands: passed over commands/0 at offset 0: it has a wildcard'])
  })

  it('does not judge the age of a record while nobody knows the time', async () => {
    const times: (number | null)[] = [null]
    const { source, publisher, downlink } = setUp({
      options: { maxAgeSeconds: 10 },
      trustedNow: () => times[0]!,
    })
    source.add(0, { timestamp: NOW - 20_000 })
    downlink.start()
    await settle()
    times[0] = NOW
    source.add(0, { timestamp: NOW - 20_000 })
    source.add(0, { timestamp: NOW - 5000 })
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'v2'])
    expect(downlink.status().passedOver.expired).toBe(1)
  })
})

describe('when its cluster is away', () => {
  it('tells how long ago its topic answered: nothing before it did, and on through failures', async () => {
    const { source, clock, downlink } = setUp()
    source.failures.push(unreachable())
    downlink.start()
    await settle()
    expect(downlink.status()).toMatchObject({ tries: 1, answerAgeSeconds: null })
    clock.advance(1000)
    await settle()
    // it was asked what it has, and has nothing
    expect(downlink.status()).toMatchObject({ state: 'reading', answerAgeSeconds: 0 })
    clock.advance(500)
    source.add(0)
    await settle()
    expect(downlink.status()).toMatchObject({ tries: 0, state: 'idle', answerAgeSeconds: 0 })
    source.failures.push(...Array.from({ length: 100 }, unreachable))
    source.wake()
    for (let second = 0; second < 20; second++) {
      clock.advance(1000)
      await settle()
    }
    expect(downlink.status().tries).toBeGreaterThan(1)
    expect(downlink.status().answerAgeSeconds).toBe(20)
  })

  it('it tries again with growing pauses, at once when it is asked to, and tells once', async () => {
    const { source, publisher, clock, lines, downlink } = setUp()
    source.add(0)
    source.failures.push(unreachable(), unreachable(), unreachable())
    downlink.start()
    await settle()
    expect(clock.waiting).toEqual([1000])
    clock.advance(1000)
    await settle()
    expect(clock.waiting).toEqual([2000])
    downlink.now()
    await settle()
    expect(clock.waiting).toEqual([4000])
    clock.advance(4000)
    await settle()
    expect(publisher.payloads).toEqual(['v0'])
    expect(lines).toEqual([
      expect.stringMatching(/^warn downlink commands: HW_UPSTREAM_UNREACHABLE/),
      'info downlink commands: recovered after 3 tries',
    ])
  })

  it('it stops where a person is to look, and goes on when told to', async () => {
    const { source, publisher, facts, lines, downlink } = setUp({ options: { outOfRange: 'stop' } })
    source.add(0)
    downlink.start()
    await settle()
    source.partitions[0] = { startOffset: 5, records: [] }
    source.wake()
    await settle()
    expect(downlink.status()).toMatchObject({ state: 'stopped', lastError: { code: 'HW_DOWNLINK_RANGE' } })
    expect(lines).toEqual([expect.stringMatching(/^error downlink commands stopped: HW_DOWNLINK_RANGE/)])
    expect(facts.next(0)).toBe(1)
    source.partitions[0] = { startOffset: 0, records: [] }
    source.add(0)
    source.add(0)
    downlink.resume()
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'v1'])
  })

  it('it reads on with the oldest there is when retention was faster, and counts what is gone', async () => {
    const { source, publisher, lines, downlink } = setUp()
    source.add(0)
    downlink.start()
    await settle()
    source.partitions[0] = { startOffset: 5, records: [] }
    source.add(0)
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'v5'])
    expect(publisher.published[1]!.source.epoch).toBe('t1/1')
    expect(downlink.status().lost).toBe(4)
    expect(lines).toEqual([expect.stringContaining('offset 1 to 5 are gone')])
  })

  it('it reads a topic that was made anew from its beginning', async () => {
    const { source, publisher, clock, downlink } = setUp({ options: { start: 'latest' } })
    downlink.start()
    await settle()
    source.add(0)
    await settle()
    source.topicId = 't2'
    source.partitions[0] = { startOffset: 0, records: [] }
    source.add(0, { value: Buffer.from('new') })
    clock.advance(60_000)
    source.wake()
    source.failures.push(unreachable())
    source.wake()
    await settle()
    clock.advance(1000)
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'new'])
    expect(publisher.published[1]!.source.epoch).toBe('t2/0')
  })

  it('it finds a partition that was added, and reads it from its beginning', async () => {
    const { source, publisher, clock, downlink } = setUp({ options: { start: 'latest' } })
    downlink.start()
    await settle()
    source.partitions.push({ startOffset: 0, records: [] })
    source.add(1, { value: Buffer.from('added') })
    clock.advance(60_000)
    source.add(0)
    await settle()
    expect(publisher.payloads.toSorted()).toEqual(['added', 'v0'])
  })
})

describe('a person', () => {
  it('pauses and resumes it', async () => {
    const { source, publisher, downlink } = setUp()
    downlink.start()
    await settle()
    downlink.pause()
    source.add(0)
    await settle()
    source.add(0)
    await settle()
    expect(downlink.status().state).toBe('paused')
    expect(publisher.payloads).toEqual(['v0'])
    downlink.resume()
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'v1'])
  })
})

describe('after a start', () => {
  it('a message waits until somebody subscribes its topic', async () => {
    const { source, publisher, clock, downlink } = setUp({ options: { graceSeconds: 10 } })
    source.add(0)
    downlink.start()
    await settle()
    clock.advance(5000)
    await settle()
    expect(publisher.payloads).toEqual([])
    publisher.subscribed.add('commands/k')
    clock.advance(100)
    await settle()
    expect(publisher.payloads).toEqual(['v0'])
  })

  it('but not for ever', async () => {
    const publisher = new FakePublisher()
    const { source, clock, downlink } = setUp({ publisher, options: { graceSeconds: 10 } })
    source.add(0)
    downlink.start()
    await settle()
    for (let i = 0; i < 99; i++) {
      clock.advance(100)
      await settle()
    }
    expect(publisher.payloads).toEqual([])
    clock.advance(100)
    await settle()
    source.add(0, { key: Buffer.from('other') })
    await settle()
    expect(publisher.payloads).toEqual(['v0', 'v1'])
  })
})
