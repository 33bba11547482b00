import { describe, expect, it } from 'vitest'
import { type Expectation, type FoundRecord, Judge } from './judge.ts'
import { Ledger } from './ledger.ts'
import { originOf, payloadOf } from './payload.ts'

const SEED = 7

function setUp(options: { qos?: 1 | 2; expectation?: Expectation; topics?: string[] } = {}) {
  const ledger = new Ledger('sensor-0', options.qos ?? 1, options.topics ?? ['a'])
  const judge = new Judge(options.expectation ?? 'every-record', [ledger], SEED)
  /** Takes a partition that holds these sequence numbers from an offset on. */
  const take = (sequences: number[], at: { from?: number; start?: number; partition?: number } = {}) => {
    const from = at.from ?? 0
    const records = sequences.map((sequence, i) => record(ledger, sequence, from + i))
    const ends = {
      stream: 'events',
      partition: at.partition ?? 0,
      logStartOffset: at.start ?? 0,
      durableOffset: from + sequences.length,
    }
    judge.take(ends, records)
  }
  return { ledger, judge, take }
}

function record(ledger: Ledger, sequence: number, offset: number): FoundRecord {
  const value = payloadOf(ledger.writer, sequence, SEED).toString('latin1')
  return { offset, topic: ledger.topicOf(sequence), value }
}

function send(ledger: Ledger, count: number, acknowledged: number): void {
  for (let sequence = 0; sequence < count; sequence++) ledger.sent(sequence)
  for (let sequence = 0; sequence < acknowledged; sequence++) ledger.acknowledge(sequence)
}

describe('payloads', () => {
  it('say who sent them and which one they are, and are the same each time', () => {
    for (const sequence of [0, 1, 99, 123_456]) {
      const payload = payloadOf('valve-1', sequence, SEED)
      expect(originOf(payload.toString('latin1'))).toEqual({ writer: 'valve-1', sequence })
      expect(payloadOf('valve-1', sequence, SEED).equals(payload)).toBe(true)
      expect(payloadOf('valve-1', sequence, SEED + 1).equals(payload)).toBe(false)
    }
  })

  it('are of all sizes up to more than a page, and more than LevelDB’s blocks', () => {
    const sizes = Array.from({ length: 2000 }, (_, sequence) => payloadOf('a', sequence, SEED).length)
    expect(Math.min(...sizes)).toBeLessThan(40)
    expect(sizes.filter((size) => size > 4096).length).toBeGreaterThan(50)
    expect(Math.max(...sizes)).toBeGreaterThan(65_535)
  })
})

describe('a judgement of every record', () => {
  it('finds nothing wrong where all is there, also what was not acknowledged', () => {
    const { ledger, judge, take } = setUp()
    send(ledger, 5, 3)
    take([0, 1, 2, 3])
    expect(judge.verdict()).toEqual({ problems: [], newRecords: 4 })
    take([4], { from: 4 })
    expect(judge.verdict()).toEqual({ problems: [], newRecords: 1 })
    expect(judge.recordsOf('events', 0)).toEqual([0, 1, 2, 3, 4].map((sequence) => `sensor-0 ${sequence}`))
  })

  it('misses an acknowledged record, and says which', () => {
    const { ledger, judge, take } = setUp()
    send(ledger, 5, 5)
    take([0, 1, 2])
    expect(judge.verdict().problems).toEqual(['sensor-0 (QoS 1): 2 acknowledged records are lost: 3, 4'])
  })

  it('allows QoS 1 a copy a sending, and no more', () => {
    const { ledger, judge, take } = setUp()
    send(ledger, 3, 0)
    ledger.sent(1)
    ledger.sent(2)
    take([0, 1, 2, 1, 2])
    expect(judge.verdict().problems).toEqual([])
    take([0], { from: 5 })
    expect(judge.verdict().problems).toEqual(['sensor-0 0 (QoS 1) was sent 1 times and is there 2 times'])
  })

  it('allows QoS 2 one copy, however often it was sent', () => {
    const { ledger, judge, take } = setUp({ qos: 2 })
    send(ledger, 2, 2)
    ledger.sent(1)
    take([0, 1, 1])
    expect(judge.verdict().problems).toEqual(['sensor-0 1 (QoS 2) was sent 2 times and is there 2 times'])
  })

  it('sees a record that overtook another, in one partition and not across two', () => {
    const { ledger, judge, take } = setUp()
    send(ledger, 4, 4)
    take([0, 2])
    take([1, 3], { partition: 1 })
    expect(judge.verdict().problems).toEqual([])
    const other = setUp()
    send(other.ledger, 3, 3)
    other.take([0, 2, 1])
    expect(other.judge.verdict().problems).toEqual(['events/0 offset 2: sensor-0 1 stands behind 2'])
  })

  it('sees a gap, an end that went back, a beginning that is gone, and a read that stopped short', () => {
    const { ledger, judge, take } = setUp()
    send(ledger, 6, 0)
    take([0, 1])
    take([3], { from: 3 })
    expect(judge.verdict().problems).toEqual(['events/0: offset 2 expected, 3 found'])
    take([], { from: 1 })
    expect(judge.verdict().problems[0]).toBe('events/0 ends at 1: a reader saw offset 3')
    take([4, 5], { from: 4, start: 2 })
    expect(judge.verdict().problems).toEqual(['events/0 begins at 2: nothing may drop its beginning'])
    judge.take({ stream: 'events', partition: 0, logStartOffset: 0, durableOffset: 9 }, [])
    expect(judge.verdict().problems).toEqual(['events/0: read to 6, its durable offset is 9'])
  })

  it('sees bytes that were not sent, another topic, a stranger, a record from the future', () => {
    const { ledger, judge } = setUp()
    send(ledger, 2, 0)
    const ends = { stream: 'events', partition: 0, logStartOffset: 0, durableOffset: 4 }
    const [first, second] = [record(ledger, 0, 0), record(ledger, 1, 1)]
    judge.take(ends, [
      { ...first, value: `${first.value!.slice(0, -1)}#` },
      { ...second, topic: 'b' },
      { offset: 2, topic: 'a', value: 'hello' },
      record(ledger, 2, 3),
    ])
    expect(judge.verdict().problems).toEqual([
      'events/0 offset 0: sensor-0 0 has other bytes than were sent',
      'events/0 offset 1: sensor-0 1 has the topic b',
      'events/0 offset 2: no writer sent "hello"',
      'events/0 offset 3: sensor-0 2 was never sent',
    ])
  })
})

describe('a judgement of a window', () => {
  it('lets the beginning go, and misses no more than went unseen', () => {
    const { ledger, judge, take } = setUp({ expectation: 'window' })
    send(ledger, 4, 4)
    take([0, 1, 2])
    take([3], { from: 3, start: 2 })
    expect(judge.verdict().problems).toEqual([])
    send(ledger, 9, 9)
    take([7, 8], { from: 7, start: 7 })
    expect(judge.verdict().problems).toEqual([])
    send(ledger, 10, 10)
    take([], { from: 9, start: 7 })
    expect(judge.verdict().problems).toEqual([
      'sensor-0 (QoS 1): 4 acknowledged records are lost: 4, 5, 6, 9',
    ])
  })
})

describe('a judgement of the latest a key', () => {
  it('wants the newest acknowledged of each key or a newer one, and lets the others go', () => {
    const { ledger, judge } = setUp({ expectation: 'latest-per-key', topics: ['a', 'b'] })
    send(ledger, 6, 4)
    const ends = { stream: 'events', partition: 0, logStartOffset: 0, durableOffset: 6 }
    judge.take(ends, [record(ledger, 3, 3), record(ledger, 4, 4)])
    expect(judge.verdict()).toEqual({ problems: [], newRecords: 2 })
    expect(judge.readFrom(ends)).toBe(0)
    judge.take(ends, [record(ledger, 4, 4)])
    expect(judge.verdict().problems).toEqual(['b: sensor-0 3 was acknowledged, the newest there is -1'])
  })
})
