/** How the charts look: as little ink as it takes, the same time axis in all of them. */
import type uPlot from 'uplot'
import { WINDOW_MS } from '../state/samples.ts'
import type { Series } from './chart.tsx'

export const HEIGHT = 150

/** `logarithmic`: values of very different sizes, none of them zero. */
export type Scaling = 'linear' | 'logarithmic'

interface ChartParts {
  readonly series: readonly Series[]
  readonly scaling: Scaling
  readonly format: (value: number) => string
  /** An index of the data, or null when the pointer is elsewhere. */
  readonly onPoint: (index: number | null) => void
}

/** All charts point at the same moment. */
const SYNC_KEY = 'charts'
const FONT = '11px system-ui, sans-serif'
const WINDOW_SECONDS_MIN = 180
const TIME_STEPS_SECONDS = [60, 120, 300]

export function chartOptions(
  element: HTMLElement,
  { series, scaling, format, onPoint }: ChartParts,
): uPlot.Options {
  const styles = getComputedStyle(element)
  const color = (name: string) => styles.getPropertyValue(name).trim()
  const axis: uPlot.Axis = {
    stroke: color('--muted'),
    font: FONT,
    grid: { stroke: color('--grid'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: Math.max(element.clientWidth, 100),
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC_KEY },
      y: false,
      drag: { x: false, y: false, setScale: false },
      points: { size: 6 },
    },
    scales: { x: { time: true, auto: false }, y: SCALES[scaling] },
    axes: [
      {
        ...axis,
        size: 24,
        gap: 4,
        space: 60,
        incrs: TIME_STEPS_SECONDS,
        values: (_plot, splits) => splits.map(hourText),
      },
      {
        ...axis,
        size: 62,
        gap: 6,
        space: 32,
        ...(scaling === 'logarithmic'
          ? { filter: powersOfTen, grid: { ...axis.grid, filter: powersOfTen } }
          : {}),
        values: (_plot, splits) => axisTexts(splits, format),
      },
    ],
    series: [
      {},
      ...series.map(
        (one): uPlot.Series => ({
          label: one.name,
          stroke: color(one.color),
          width: 1.5,
          ...(series.length === 1 ? { fill: `${color(one.color)}22` } : {}),
          spanGaps: false,
          points: { show: true, size: 3, fill: color(one.color), filter: aloneIn },
        }),
      ),
    ],
    hooks: {
      setCursor: [
        (plot) => {
          const { idx, left } = plot.cursor
          onPoint(left === undefined || left < 0 || idx === undefined ? null : idx)
        },
      ],
    },
  }
}

/** A value between two gaps has no line to be seen by. @returns indices; null is none */
function aloneIn(plot: uPlot, index: number, isShown: boolean): number[] | null {
  const values = plot.data[index]!
  if (!isShown) return null
  const found: number[] = []
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i)
  }
  return found
}

/** Up to the newest sample: all there is, of a quarter of an hour at most. A broker that just began has more to show than an edge of the chart. */
export function windowOf(times: readonly number[]): { min: number; max: number } {
  const max = times.at(-1) ?? Date.now() / 1000
  const oldest = Math.min(times[0] ?? max, max - WINDOW_SECONDS_MIN)
  return { min: Math.max(oldest, max - WINDOW_MS / 1000), max }
}

const SCALES: Readonly<Record<Scaling, uPlot.Scale>> = {
  // A line at zero stays at the bottom, whatever the others are.
  linear: { range: (_plot, _min, max) => [0, max === null || max <= 0 ? 1 : max * 1.1] },
  // Whole powers of ten: the grid stays where it is while the values move.
  logarithmic: {
    distr: 3,
    range: (_plot, min, max) => {
      const low = 10 ** Math.floor(Math.log10(Math.max(min ?? 1, 0.01)))
      return [low, Math.max(low * 10, 10 ** Math.ceil(Math.log10(Math.max(max ?? 10, 0.01))))]
    },
  },
}

/** Of a logarithmic axis the powers of ten alone have a line and a number. */
function powersOfTen(_plot: uPlot, splits: number[]): (number | null)[] {
  return splits.map((value) => (Math.abs(Math.log10(value) % 1) < 1e-6 ? value : null))
}

/** Where two steps read the same, as 0.5 and 1 B/s do, the upper one alone has it. */
export function axisTexts(splits: readonly (number | null)[], format: (value: number) => string): string[] {
  const texts = splits.map((value) => (value === null ? '' : axisText(value, format)))
  return texts.map((text, index) => (text === texts[index + 1] ? '' : text))
}

/** Round numbers, so without a zero after the point. */
function axisText(value: number, format: (value: number) => string): string {
  return value === 0 ? '0' : format(value).replace('.0 ', ' ')
}

function hourText(seconds: number): string {
  const date = new Date(seconds * 1000)
  return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`
}
