import { expect, test } from 'vitest'
import { LatencyBuckets, median, medians, ratio, slope } from './statistics.ts'

test('a median is the middle, or the mean of the two middles', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 2, 3])).toBe(2.5)
  expect(
    medians([
      { a: 1, b: 30 },
      { a: 2, b: 10 },
      { a: 3, b: 20 },
    ]),
  ).toEqual({ a: 2, b: 20 })
})

test('ratios are taken run by run', () => {
  expect(ratio([2, 40, 6], [1, 10, 3], (value) => value)).toBe(2)
})

test('quantiles of latencies are exact below 256 us and within 1 % above', () => {
  for (const us of [0, 1, 255, 256, 1000, 123_456, 2 ** 31]) {
    const latency = new LatencyBuckets()
    latency.record(us)
    expect(Math.abs(latency.quantile(0.5) - us)).toBeLessThanOrEqual(us < 256 ? 0 : us / 100)
  }
})

test('a quantile is the latency that so many are not above', () => {
  const latency = new LatencyBuckets()
  for (let us = 1; us <= 100; us++) latency.record(us)
  expect([latency.quantile(0.5), latency.quantile(0.99), latency.quantile(1)]).toEqual([50, 99, 100])
  latency.reset()
  expect(latency.quantile(0.5)).toBeNaN()
})

test('a slope is how much y grows for each 1 of x, noise on both sides left out', () => {
  const line = (ys: readonly number[]) => slope(ys.map((y, i) => ({ x: 10 * i, y })))
  expect(line([5, 25, 45])).toBeCloseTo(2)
  expect(line([7, 7, 7, 7])).toBe(0)
  expect(line([1, -1, -1, 1])).toBeCloseTo(0)
  expect(line([3])).toBeNaN()
})
