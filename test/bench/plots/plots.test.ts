import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BarChart } from './bar-chart.ts'
import { BOTTOM, LEFT, RIGHT, TOP } from './frame.ts'
import type { LineChart } from './line-chart.ts'
import { drawChart, writeCharts } from './plots.ts'
import { element, escaped, text } from './svg.ts'

const LINES: LineChart = {
  kind: 'lines',
  file: 'lines.svg',
  title: 'Start & stop',
  xLabel: 'records',
  yLabel: 'ms',
  isLogX: true,
  series: [
    {
      name: 'a < b',
      points: [
        { x: 10, y: 0 },
        { x: 1000, y: 20 },
      ],
    },
    {
      name: '"c"',
      points: [
        { x: 10, y: 10 },
        { x: 100, y: Number.NaN },
      ],
    },
  ],
}

const BARS: BarChart = {
  kind: 'bars',
  file: 'bars.svg',
  title: 'bars',
  xLabel: 'case',
  yLabel: 'ratio',
  series: ['one'],
  groups: [
    { name: 'first', values: [2] },
    { name: 'second\nline', values: [Number.NaN] },
  ],
  marks: [{ label: 'limit', value: 4 }],
}

const matches = (svg: string, pattern: RegExp) => [...svg.matchAll(pattern)].map((match) => match[1])

test('what stands for something in XML is escaped, in text and in attributes', () => {
  expect(escaped(`<a href="x">'&'</a>`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;')
  expect(text('1 < 2', { id: '"' })).toBe('<text id="&quot;">1 &lt; 2</text>')
  expect(element('g', { x: 1.26 }, '<a/>')).toBe('<g x="1.3"><a/></g>')
})

test('a chart is one well-formed document that needs nothing from elsewhere', () => {
  for (const svg of [drawChart(LINES), drawChart(BARS)]) {
    const open: string[] = []
    for (const [, slash, name, rest] of svg.matchAll(/<(\/?)([a-z]+)([^>]*)>/g)) {
      if (slash === '/') expect(open.pop()).toBe(name)
      else if (!rest!.endsWith('/')) open.push(name!)
    }
    expect(open).toEqual([])
    expect(svg).not.toMatch(/NaN|undefined|href|url\(|&(?!amp;|lt;|gt;|quot;|#39;)/)
    expect(matches(svg, /(https?:[^"]*)/g)).toEqual(['http://www.w3.org/2000/svg'])
  }
})

test('a chart says what it shows: title, axes, legend', () => {
  const svg = drawChart(LINES)
  for (const word of ['Start &amp; stop', 'records', 'ms', 'a &lt; b', '&quot;c&quot;', '1k']) {
    expect(svg).toContain(`>${word}<`)
  }
  // one series needs no legend
  expect(drawChart(BARS)).not.toContain('>one<')
})

test('lines run from corner to corner, and what was not measured is left out', () => {
  const svg = drawChart(LINES)
  expect(matches(svg, /polyline points="([^"]*)"/g)).toEqual([
    `${LEFT.toFixed(1)},${BOTTOM.toFixed(1)} ${RIGHT.toFixed(1)},${TOP.toFixed(1)}`,
    `${LEFT.toFixed(1)},${((TOP + BOTTOM) / 2).toFixed(1)}`,
  ])
})

test('a bar is as high as its value, a mark as its own', () => {
  const svg = drawChart(BARS)
  const heights = matches(svg, /<rect x="[^"]*" y="[^"]*" width="[^"]*" height="([^"]*)" fill="#0072b2"/g)
  expect(heights.map(Number)).toEqual([(BOTTOM - TOP) / 2])
  expect(svg).toContain(`y1="${TOP}" y2="${TOP}" stroke="#8c2d19"`)
  expect(matches(svg, />(second|line)</g)).toEqual(['second', 'line'])
})

test('charts are files of their names', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-plots-'))
  try {
    const paths = writeCharts([LINES, BARS], join(directory, 'made'))
    expect(paths).toEqual(['lines.svg', 'bars.svg'].map((name) => join(directory, 'made', name)))
    expect(readFileSync(paths[1]!, 'utf8')).toBe(drawChart(BARS))
  } finally {
    await rm(directory, { recursive: true })
  }
})
