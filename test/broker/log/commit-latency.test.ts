import { describe, expect, it } from 'vitest'
import {
  countsBetween,
  countsOf,
  countUpTo,
  LatencyHistogram,
  quantileOf,
} from '../../../broker/log/commit-latency.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

describe('a latency histogram', () => {
  it('is empty at first', () => {
    const histogram = new LatencyHistogram()
    expect([histogram.quantile(0.99), histogram.count, histogram.maxMs]).toEqual([0, 0, 0])
    expect(histogram.counts()).toEqual({ upToMs: [], counts: [], sumMs: 0 })
  })

  it('puts what lies on an edge below it, and what is a little more above', () => {
    const histogram = new LatencyHistogram()
    for (const ms of [0.01, 0.0100001, 1, 1.0000001, 1.25, 3.15, 3.1500001, 1000]) histogram.record(ms)
    expect(histogram.counts()).toMatchObject({
      upToMs: [0.01, 0.0125, 1, 1.25, 3.15, 4, 1000],
      counts: [1, 1, 1, 2, 1, 1, 1],
    })
    expect([0.01, 1, 2.5, 1000].map((edge) => countUpTo(histogram.counts(), edge))).toEqual([1, 3, 5, 8])
  })

  it('adds up with others, and tells what came between two looks', () => {
    const [one, other] = [new LatencyHistogram(), new LatencyHistogram()]
    one.record(1)
    other.record(1)
    other.record(200)
    const before = countsOf([one, other])
    expect(before).toEqual({ upToMs: [1, 200], counts: [2, 1], sumMs: 202 })
    one.record(4)
    one.record(5)
    other.record(1)
    const between = countsBetween(before, countsOf([one, other]))
    expect(between.sumMs).toBe(10)
    expect([0.3, 0.5, 1].map((q) => quantileOf(between, q))).toEqual([1, 4, 5])
    expect(quantileOf(countsBetween(before, before), 0.99)).toBe(0)
  })

  it('gives quantiles from the true one up to 28 % above it, and never above the maximum', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const histogram = new LatencyHistogram()
    const values = Array.from({ length: 2000 }, () => 0.02 * 10 ** (random.next() * 5))
    for (const value of values) histogram.record(value)
    values.sort((a, b) => a - b)
    for (const q of [0.01, 0.5, 0.9, 0.99, 1]) {
      const exact = values[Math.ceil(q * values.length) - 1]!
      const found = histogram.quantile(q)
      expect(found, `seed ${seed}`).toBeGreaterThanOrEqual(exact * 0.999)
      expect(found, `seed ${seed}`).toBeLessThanOrEqual(Math.min(exact * 1.281, histogram.maxMs))
    }
  })

  it('counts what lies beyond its buckets in the last one', () => {
    const histogram = new LatencyHistogram()
    histogram.record(1e9)
    histogram.record(0)
    expect(histogram.count).toBe(2)
    expect(histogram.quantile(0.5)).toBe(0.01)
    expect(histogram.counts()).toMatchObject({ upToMs: [0.01, null], counts: [1, 1] })
    expect(quantileOf(histogram.counts(), 0.99)).toBe(Number.POSITIVE_INFINITY)
  })
})
