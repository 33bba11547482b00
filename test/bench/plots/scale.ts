/** From values to places on an axis, and the round values that are written beside it. */

export interface Tick {
  readonly value: number
  readonly label: string
}

export interface Scale {
  readonly ticks: readonly Tick[]
  /** 0 at the start of the axis, 1 at its end. */
  at(value: number): number
}

/** Steps between ticks are these, times a power of ten. */
const ROUND_STEPS = [1, 2, 5, 10]
const TICKS_WANTED = 6
/** Within so many decades ticks stand at 2 and 5 as well. */
const DECADES_FINE_MAX = 2

/** From 0, or below it, to a round value at or above all. */
export function linearScale(values: readonly number[]): Scale {
  const low = Math.min(0, ...finite(values))
  const high = Math.max(low, ...finite(values))
  const step = roundStep((high - low || 1) / TICKS_WANTED)
  const first = Math.floor(rounded(low / step))
  const last = Math.max(Math.ceil(rounded(high / step)), first + 1)
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => tick(rounded((first + i) * step)))
  return { ticks, at: (value) => (value - first * step) / ((last - first) * step) }
}

/** From the power of ten at or below the smallest value to the one at or above the greatest; values must be above 0. */
export function logScale(values: readonly number[]): Scale {
  const logs = finite(values).map((value) => rounded(Math.log10(value)))
  const first = logs.length === 0 ? 0 : Math.floor(Math.min(...logs))
  const last = logs.length === 0 ? 1 : Math.max(Math.ceil(Math.max(...logs)), first + 1)
  const within = last - first <= DECADES_FINE_MAX ? [1, 2, 5] : [1]
  const ticks: Tick[] = []
  for (let decade = first; decade < last; decade++) {
    for (const factor of within) ticks.push(tick(rounded(factor * 10 ** decade)))
  }
  ticks.push(tick(rounded(10 ** last)))
  return { ticks, at: (value) => (Math.log10(value) - first) / (last - first) }
}

/** Ticks as they are given: they stand where their values do among all of them, on a scale by decades. */
export function namedLogScale(ticks: readonly Tick[]): Scale {
  const logs = ticks.map(({ value }) => Math.log10(value))
  const first = Math.min(...logs)
  const span = Math.max(...logs) - first || 1
  return { ticks, at: (value) => (Math.log10(value) - first) / span }
}

/** 0.25, 12, 1.5k, 10M: at most four digits. */
export function shortNumber(value: number): string {
  const size = Math.abs(value)
  for (const [unit, suffix] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (size >= unit) return `${rounded(value / unit, 4)}${suffix}`
  }
  return String(rounded(value, 4))
}

function tick(value: number): Tick {
  return { value, label: shortNumber(value) }
}

function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least))
  const factor = ROUND_STEPS.find((candidate) => rounded(candidate * power) >= rounded(least)) ?? 10
  return rounded(factor * power)
}

function finite(values: readonly number[]): number[] {
  return values.filter(Number.isFinite)
}

/** Without what binary fractions add: 0.30000000000000004 is 0.3. */
function rounded(value: number, digits = 12): number {
  return Number(value.toPrecision(digits))
}
