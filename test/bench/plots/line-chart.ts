/** Lines over a growing quantity: one series a colour and a shape. */
import { COLORS, type Frame, legend, type Mark, markLine, sheet, xAxis, xOf, yAxis, yOf } from './frame.ts'
import { linearScale, logScale, namedLogScale, type Scale, type Tick } from './scale.ts'
import { element } from './svg.ts'

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Series {
  readonly name: string
  readonly points: readonly Point[]
}

export interface LineChart extends Frame {
  readonly kind: 'lines'
  /** Without a directory. */
  readonly file: string
  readonly series: readonly Series[]
  /** By decades: where what is plotted grows by factors. */
  readonly isLogX?: boolean
  readonly isLogY?: boolean
  /** In place of round values, on an axis by decades. */
  readonly xTicks?: readonly Tick[]
  readonly marks?: readonly Mark[]
}

/** With more points than this a line needs no symbols. */
const SYMBOLS_MAX = 24

export function drawLines(chart: LineChart): string {
  const { series, isLogX = false, isLogY = false, xTicks, marks = [] } = chart
  const points = series.flatMap((one) => one.points)
  const xs = points.map(({ x }) => x)
  const ys = [...points.map(({ y }) => y), ...marks.map(({ value }) => value)]
  const x = xTicks === undefined ? (isLogX ? logScale(xs) : linearScale(xs)) : namedLogScale(xTicks)
  const y = isLogY ? logScale(ys) : linearScale(ys)
  const names = series.map(({ name }) => name)
  return sheet(chart, [
    ...yAxis(y),
    ...xAxis(x),
    ...marks.flatMap((mark) => markLine(y, mark)),
    ...series.flatMap((one, i) => drawSeries(one, i, x, y)),
    ...(names.length > 1 ? legend(names, symbol) : []),
  ])
}

function drawSeries({ points }: Series, i: number, x: Scale, y: Scale): string[] {
  const places = points
    .filter((point) => Number.isFinite(point.y))
    .map((point) => [xOf(x, point.x), yOf(y, point.y)] as const)
  const line = element('polyline', {
    points: places.map(([left, top]) => `${left.toFixed(1)},${top.toFixed(1)}`).join(' '),
    fill: 'none',
    stroke: colorOf(i),
    'stroke-width': 2,
    'stroke-linejoin': 'round',
  })
  return places.length > SYMBOLS_MAX ? [line] : [line, ...places.map(([left, top]) => symbol(i, left, top))]
}

function colorOf(i: number): string {
  return COLORS[i % COLORS.length]!
}

/** Circle, square, triangle, diamond: colour alone does not tell series apart in print. */
function symbol(i: number, x: number, y: number): string {
  const fill = colorOf(i)
  switch (i % 4) {
    case 0:
      return element('circle', { cx: x, cy: y, r: 4, fill })
    case 1:
      return element('rect', { x: x - 3.5, y: y - 3.5, width: 7, height: 7, fill })
    case 2:
      return element('path', { d: `M${x.toFixed(1)} ${(y - 4.5).toFixed(1)}l4.5 8h-9z`, fill })
    default:
      return element('path', { d: `M${x.toFixed(1)} ${(y - 5).toFixed(1)}l5 5l-5 5l-5 -5z`, fill })
  }
}
