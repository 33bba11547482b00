/** The table at the top of start.ts, a row a test. */
import { describe, expect, it } from 'vitest'
import { decideStart, type StoredPlace } from '../../../sync/downlink/start.ts'
import { DownlinkRangeError } from '../../../sync/errors.ts'

const TOPIC = {
  cluster: 'c1',
  topic: 'commands',
  topicId: 't1',
  partitions: [
    { partition: 0, startOffset: 10, endOffset: 20 },
    { partition: 1, startOffset: 0, endOffset: 5 },
  ],
}
const place = (next: number, changes: Partial<StoredPlace> = {}): StoredPlace => ({
  cluster: 'c1',
  topic: 'commands',
  topicId: 't1',
  next,
  epoch: 3,
  ...changes,
})
const LATEST = { start: 'latest', outOfRange: 'earliest' } as const
const decide = (stored: Record<number, StoredPlace>, policy: Parameters<typeof decideStart>[2] = LATEST) => {
  const { places, warnings, lost } = decideStart(
    TOPIC,
    new Map(Object.entries(stored).map(([key, value]) => [Number(key), value])),
    policy,
  )
  return { places: Object.fromEntries(places), warnings, lost }
}

describe('a topic is read', () => {
  it('the first time from where `start` says', () => {
    expect(decide({}).places).toEqual({ 0: { next: 20, epoch: 0 }, 1: { next: 5, epoch: 0 } })
    expect(decide({}, { ...LATEST, start: 'earliest' }).places).toEqual({
      0: { next: 10, epoch: 0 },
      1: { next: 0, epoch: 0 },
    })
    expect(decide({}).warnings).toEqual([])
  })

  it('on from where it was, its ends included', () => {
    expect(decide({ 0: place(10), 1: place(5) })).toEqual({
      places: { 0: { next: 10, epoch: 3 }, 1: { next: 5, epoch: 3 } },
      warnings: [],
      lost: 0,
    })
  })

  it('from the beginning in a partition that was added since', () => {
    expect(decide({ 0: place(15) }).places).toEqual({ 0: { next: 15, epoch: 3 }, 1: { next: 0, epoch: 0 } })
  })

  it('from its beginning when it was made anew, whatever `start` says, and that is told', () => {
    const { places, warnings } = decide({ 0: place(15, { topicId: 't0' }) })
    expect(places).toEqual({ 0: { next: 10, epoch: 0 }, 1: { next: 0, epoch: 0 } })
    expect(warnings).toEqual([
      'topic commands was made anew: the old positions do not count, it is read from its beginning',
    ])
  })

  it('as the first time on another cluster, and that is told', () => {
    const { places, warnings } = decide({ 0: place(15, { cluster: 'c0', topicId: 't0' }) })
    expect(places[0]).toEqual({ next: 20, epoch: 0 })
    expect(warnings[0]).toMatch(/on another cluster than before \(c1\).*from the latest$/)
  })

  it('as the first time when the downlink read another topic before', () => {
    const { places, warnings } = decide({ 0: place(15, { topic: 'other', topicId: 't0' }) })
    expect(places[0]).toEqual({ next: 20, epoch: 0 })
    expect(warnings).toEqual([])
  })
})

describe('a position that the topic does not have', () => {
  it('below its oldest record goes on as `outOfRange` says, under a new epoch, and the gap is counted', () => {
    const stored = { 0: place(7), 1: place(5) }
    const { places, warnings, lost } = decide(stored)
    expect(places).toEqual({ 0: { next: 10, epoch: 4 }, 1: { next: 5, epoch: 3 } })
    expect(warnings).toEqual([
      'commands/0: the records from offset 7 to 10 are gone before they were read; it goes on at offset 10',
    ])
    expect(lost).toBe(3)
    expect(decide(stored, { ...LATEST, outOfRange: 'latest' }).places[0]).toEqual({ next: 20, epoch: 4 })
  })

  it('above its newest record as well: the topic was cut', () => {
    const { places, warnings, lost } = decide({ 0: place(21), 1: place(5) })
    expect(places[0]).toEqual({ next: 10, epoch: 4 })
    expect(warnings).toEqual([
      'commands/0: the topic ends at offset 20, before 21 where it was read to; it goes on at offset 10',
    ])
    expect(lost).toBe(0)
  })

  it('stops the downlink where a person is to look', () => {
    expect(() => decide({ 0: place(7) }, { ...LATEST, outOfRange: 'stop' })).toThrow(DownlinkRangeError)
  })
})
