import { describe, expect, it } from 'vitest'
import { LatencyHistogram } from '../../../broker/log/commit-latency.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

describe('a latency histogram', () => {
  it('is empty at first and after a reset', () => {
    const histogram = new LatencyHistogram()
    expect(histogram.quantile(0.5)).toBe(0)
    histogram.record(5)
    histogram.reset()
    expect([histogram.quantile(0.99), histogram.count, histogram.maxMs]).toEqual([0, 0, 0])
  })

  it('gives quantiles from the true one up to a quarter above it, and never above the maximum', () => {
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
      expect(found, `seed ${seed}`).toBeLessThanOrEqual(Math.min(exact * 1.251, histogram.maxMs))
    }
  })

  it('counts what lies beyond its buckets in the last one', () => {
    const histogram = new LatencyHistogram()
    histogram.record(1e9)
    histogram.record(0)
    expect(histogram.count).toBe(2)
    expect(histogram.quantile(0.5)).toBe(0.02)
  })
})
