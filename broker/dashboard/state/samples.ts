/**
 * The samples that the charts show: fifteen minutes of them, from as many answers as it took. The broker forgets its own when it is
 * started; the page keeps what it had, and where nothing was measured the charts have a gap.
 */
import type { HistorySample } from '../api/types.ts'

export const WINDOW_MS = 900_000
/** Well above what fits into the window at the broker's interval, whatever a clock that is set does to it. */
export const SAMPLES_MAX = 720

/** @returns both, in order, each time once, none older than the window before the newest */
export function mergeSamples(
  known: readonly HistorySample[],
  added: readonly HistorySample[],
): readonly HistorySample[] {
  if (added.length === 0) return known
  const byTime = new Map(known.map((sample) => [sample.at, sample]))
  for (const sample of added) byTime.set(sample.at, sample)
  const merged = [...byTime.values()].sort((a, b) => a.at - b.at)
  const newest = added[added.length - 1]!.at
  // The broker's clock was set back: what it called later is not later.
  return merged.filter(({ at }) => at > newest - WINDOW_MS && at <= newest).slice(-SAMPLES_MAX)
}

export type Field = Exclude<keyof HistorySample, 'at'>
/** Times in seconds, then a column for each field; null is a gap. */
export type Columns = [number[], ...(number | null)[][]]

/** Two samples further apart than this many intervals have a gap between them. */
const GAP_INTERVALS = 2.5

export function columnsOf(
  samples: readonly HistorySample[],
  fields: readonly Field[],
  intervalSeconds: number,
): Columns {
  const times: number[] = []
  const columns: (number | null)[][] = fields.map(() => [])
  let last = Number.NaN
  for (const sample of samples) {
    if (sample.at - last > intervalSeconds * 1000 * GAP_INTERVALS) {
      times.push((last + sample.at) / 2000)
      for (const column of columns) column.push(null)
    }
    times.push(sample.at / 1000)
    for (const [i, field] of fields.entries()) columns[i]!.push(sample[field])
    last = sample.at
  }
  return [times, ...columns]
}
