import { expect, it } from 'vitest'
import type { HistorySample } from '../../../../broker/dashboard/api/types.ts'
import {
  columnsOf,
  mergeSamples,
  SAMPLES_MAX,
  WINDOW_MS,
} from '../../../../broker/dashboard/state/samples.ts'

const at = (seconds: number, messagesPerSecond = seconds) =>
  ({ at: seconds * 1000, messagesPerSecond, lagRecords: 1 }) as HistorySample

it('samples of several answers are one row, each time once, the newer answer wins', () => {
  const merged = mergeSamples([at(5), at(10)], [at(10, 99), at(15)])
  expect(merged.map((sample) => [sample.at, sample.messagesPerSecond])).toEqual([
    [5_000, 5],
    [10_000, 99],
    [15_000, 15],
  ])
})

it('an answer with nothing new changes nothing', () => {
  const known = [at(5)]
  expect(mergeSamples(known, [])).toBe(known)
})

it('what is older than the window goes, and there are never more than the most', () => {
  const now = WINDOW_MS / 1000 + 100
  expect(mergeSamples([at(5), at(now - 5)], [at(now)]).map((sample) => sample.at)).toEqual([
    (now - 5) * 1000,
    now * 1000,
  ])
  const many = Array.from({ length: SAMPLES_MAX * 2 }, (_, i) => at(1_000 + i / 10))
  expect(mergeSamples([], many)).toHaveLength(SAMPLES_MAX)
})

it('a clock that was set back leaves nothing of the time that is to come', () => {
  expect(mergeSamples([at(1_000), at(1_005)], [at(500)]).map((sample) => sample.at)).toEqual([500_000])
})

it('where nothing was measured there is a gap, and a slow sample is none', () => {
  const samples = [at(0), at(5), at(11), at(60), at(65)]
  expect(columnsOf(samples, ['messagesPerSecond', 'lagRecords'], 5)).toEqual([
    [0, 5, 11, 35.5, 60, 65],
    [0, 5, 11, null, 60, 65],
    [1, 1, 1, null, 1, 1],
  ])
})
