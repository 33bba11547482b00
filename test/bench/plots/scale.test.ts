import { expect, test } from 'vitest'
import { linearScale, logScale, namedLogScale, shortNumber } from './scale.ts'

const labels = ({ ticks }: { ticks: readonly { label: string }[] }) => ticks.map(({ label }) => label)

test('a linear axis begins at zero and ends at a round value at or above all', () => {
  expect(labels(linearScale([3, 17.2]))).toEqual(['0', '5', '10', '15', '20'])
  expect(labels(linearScale([0.7]))).toEqual(['0', '0.2', '0.4', '0.6', '0.8'])
  expect(labels(linearScale([1_000_000, 10_000_000]))).toEqual(['0', '2M', '4M', '6M', '8M', '10M'])
})

test('a linear axis goes below zero where values do', () => {
  const scale = linearScale([-3, 7])
  expect(labels(scale)).toEqual(['-4', '-2', '0', '2', '4', '6', '8'])
  expect([scale.at(-4), scale.at(2), scale.at(8)]).toEqual([0, 0.5, 1])
})

test('steps are whole where binary fractions are not', () => {
  expect(linearScale([0.3]).ticks.map(({ value }) => value)).toEqual([0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3])
})

test('an axis by decades has whole decades, and 2 and 5 where there are few', () => {
  expect(labels(logScale([20, 3_000_000]))).toEqual(['10', '100', '1k', '10k', '100k', '1M', '10M'])
  expect(labels(logScale([3, 60]))).toEqual(['1', '2', '5', '10', '20', '50', '100'])
  expect(labels(logScale([1000]))).toEqual(['1k', '2k', '5k', '10k'])
})

test('equal factors are equal distances by decades', () => {
  const scale = logScale([0.1, 100])
  expect([0.1, 1, 10, 100].map((value) => Math.round(scale.at(value) * 3))).toEqual([0, 1, 2, 3])
})

test('an axis without values, or of one value, is still one', () => {
  for (const scale of [linearScale([]), linearScale([0]), logScale([]), logScale([Number.NaN])]) {
    expect(scale.ticks.length).toBeGreaterThan(1)
    expect(scale.at(scale.ticks[0]!.value)).toBe(0)
    expect(scale.at(scale.ticks.at(-1)!.value)).toBe(1)
  }
})

test('ticks that are given stand where their values do', () => {
  const scale = namedLogScale([
    { value: 2, label: 'p50' },
    { value: 20, label: 'p95' },
    { value: 200, label: 'p99.5' },
  ])
  expect(labels(scale)).toEqual(['p50', 'p95', 'p99.5'])
  expect([scale.at(2), scale.at(20), scale.at(200)]).toEqual([0, 0.5, 1])
})

test('numbers are written short', () => {
  expect([0, 0.25, 12, 999, 1000, 1500, 2_500_000, 3e9].map(shortNumber)).toEqual([
    '0',
    '0.25',
    '12',
    '999',
    '1k',
    '1.5k',
    '2.5M',
    '3G',
  ])
})
