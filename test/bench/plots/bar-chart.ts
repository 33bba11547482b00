/** Bars from zero, one a case, with their values written at the top. */
import {
  BOTTOM,
  COLORS,
  type Frame,
  LEFT,
  label,
  legend,
  type Mark,
  markLine,
  RIGHT,
  sheet,
  yAxis,
  yOf,
} from './frame.ts'
import { linearScale } from './scale.ts'
import { element } from './svg.ts'

export interface BarGroup {
  /** Below the bars; a line break begins a new line. */
  readonly name: string
  /** One for each of the chart's series; NaN leaves its place empty. */
  readonly values: readonly number[]
}

export interface BarChart extends Frame {
  readonly kind: 'bars'
  /** Without a directory. */
  readonly file: string
  readonly series: readonly string[]
  readonly groups: readonly BarGroup[]
  readonly marks?: readonly Mark[]
}

/** Of a group's width, left free beside its bars. */
const GAP_SHARE = 0.35
const LINE_HEIGHT = 14
const WITHIN_PX = 28

export function drawBars(chart: BarChart): string {
  const { series, groups, marks = [] } = chart
  const values = [...groups.flatMap((group) => group.values), ...marks.map(({ value }) => value)]
  const y = linearScale(values)
  const groupWidth = (RIGHT - LEFT) / groups.length
  const barWidth = Math.min((groupWidth * (1 - GAP_SHARE)) / series.length, 70)
  const bars = groups.flatMap((group, g) => {
    const middle = LEFT + groupWidth * (g + 0.5)
    const first = middle - (barWidth * series.length) / 2
    return [
      ...group.values.flatMap((value, i) => bar(value, i, first + barWidth * i, barWidth, yOf(y, value))),
      ...group.name.split('\n').map((line, i) => label(line, middle, BOTTOM + 18 + i * LINE_HEIGHT)),
    ]
  })
  const square = (i: number, x: number, top: number) =>
    element('rect', { x: x - 4, y: top - 4, width: 9, height: 9, fill: COLORS[i % COLORS.length]! })
  return sheet(chart, [
    ...yAxis(y),
    ...bars,
    ...marks.flatMap((mark) => markLine(y, mark)),
    ...(series.length > 1 ? legend(series, square) : []),
  ])
}

function bar(value: number, i: number, x: number, width: number, top: number): string[] {
  if (!Number.isFinite(value)) return []
  const fill = COLORS[i % COLORS.length]!
  const height = BOTTOM - top
  const written = value.toFixed(value < 10 ? 2 : 0)
  const middle = x + width / 2
  // within the bar where it is high enough: a mark may run along its top
  const isWithin = height > WITHIN_PX
  return [
    element('rect', { x: x + 1, y: top, width: width - 2, height, fill }),
    isWithin ? label(written, middle, top + 18, '#ffffff') : label(written, middle, top - 5),
  ]
}
