/** What all charts share: the sheet, its title, the axes with their ticks, the legend. */
import type { Scale } from './scale.ts'
import { element, escaped, text } from './svg.ts'

export interface Frame {
  readonly title: string
  readonly subtitle?: string
  readonly xLabel: string
  readonly yLabel: string
}

/** A horizontal line across the chart, such as the figure that is to be reached. */
export interface Mark {
  readonly label: string
  readonly value: number
}

const WIDTH = 760
const HEIGHT = 440
export const LEFT = 78
export const RIGHT = WIDTH - 24
export const TOP = 92
export const BOTTOM = HEIGHT - 62

const INK = '#24292f'
const FAINT_INK = '#57606a'
const GRID = '#e3e6ea'
const MARK_COLOR = '#8c2d19'
const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif"
/** Of the font's size, about: where SVG is made there is no font to ask. */
const GLYPH_WIDTH = 0.56

/** Told apart by people who see colours differently (Okabe and Ito, 2008). */
export const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'] as const

export function sheet({ title, subtitle, xLabel, yLabel }: Frame, content: readonly string[]): string {
  const middle = (TOP + BOTTOM) / 2
  const parts = [
    `<title>${escaped(title)}</title>`,
    // a page in dark mode shows the chart on white all the same
    element('rect', { width: WIDTH, height: HEIGHT, rx: 6, fill: '#ffffff' }),
    text(title, { x: LEFT, y: 28, 'font-size': 17, 'font-weight': 600, fill: INK }),
    ...(subtitle === undefined ? [] : [text(subtitle, { x: LEFT, y: 48, 'font-size': 12, fill: FAINT_INK })]),
    text(xLabel, { x: (LEFT + RIGHT) / 2, y: HEIGHT - 18, 'text-anchor': 'middle', fill: INK }),
    text(yLabel, {
      x: 20,
      y: middle,
      'text-anchor': 'middle',
      transform: `rotate(-90 20 ${middle})`,
      fill: INK,
    }),
    ...content,
  ]
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    width: WIDTH,
    height: HEIGHT,
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: 'img',
    'font-family': FONT,
    'font-size': 13,
  }
  return `${element('svg', attributes, `\n${parts.join('\n')}\n`)}\n`
}

export function xOf(scale: Scale, value: number): number {
  return LEFT + scale.at(value) * (RIGHT - LEFT)
}

export function yOf(scale: Scale, value: number): number {
  return BOTTOM - scale.at(value) * (BOTTOM - TOP)
}

export function xAxis(scale: Scale): string[] {
  const line = element('line', { x1: LEFT, x2: RIGHT, y1: BOTTOM, y2: BOTTOM, stroke: FAINT_INK })
  const ticks = scale.ticks.flatMap(({ value, label }) => {
    const x = xOf(scale, value)
    return [
      element('line', { x1: x, x2: x, y1: BOTTOM, y2: BOTTOM + 5, stroke: FAINT_INK }),
      text(label, { x, y: BOTTOM + 20, 'text-anchor': 'middle', 'font-size': 12, fill: FAINT_INK }),
    ]
  })
  return [line, ...ticks]
}

export function yAxis(scale: Scale): string[] {
  return scale.ticks.flatMap(({ value, label }) => {
    const y = yOf(scale, value)
    return [
      element('line', { x1: LEFT, x2: RIGHT, y1: y, y2: y, stroke: GRID }),
      text(label, { x: LEFT - 8, y: y + 4, 'text-anchor': 'end', 'font-size': 12, fill: FAINT_INK }),
    ]
  })
}

export function markLine(scale: Scale, { label, value }: Mark): string[] {
  const y = yOf(scale, value)
  return [
    element('line', { x1: LEFT, x2: RIGHT, y1: y, y2: y, stroke: MARK_COLOR, 'stroke-dasharray': '6 4' }),
    // readable where bars or lines pass behind it
    text(label, {
      x: RIGHT - 4,
      y: y - 6,
      'text-anchor': 'end',
      'font-size': 12,
      fill: MARK_COLOR,
      stroke: '#ffffff',
      'stroke-width': 3,
      'paint-order': 'stroke',
    }),
  ]
}

/** Under the title, from left to right. @param symbol draws the `i`th one around a place */
export function legend(
  names: readonly string[],
  symbol: (i: number, x: number, y: number) => string,
): string[] {
  const y = TOP - 22
  let x = LEFT + 8
  return names.flatMap((name, i) => {
    const drawn = [symbol(i, x, y - 4), text(name, { x: x + 14, y, 'font-size': 12, fill: INK })]
    x += 38 + name.length * 12 * GLYPH_WIDTH
    return drawn
  })
}

export function label(content: string, x: number, y: number, fill: string = INK): string {
  return text(content, { x, y, 'text-anchor': 'middle', 'font-size': 12, fill })
}
