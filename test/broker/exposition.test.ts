/** Prometheus' text format, with names that mean it ill. */
import { expect, it } from 'vitest'
import { byReason, Exposition, one } from '../../broker/exposition.ts'
import { checkMetrics, hasPromtool } from '../support/promtool.ts'

const HOSTILE = [
  'a"} 1\nevil_total 2',
  '\\',
  '\\n"',
  'line\nfeed',
  'tab\t',
  '\r',
  '',
  'ünï {}=,"',
  '\u0000',
  '\ud800',
]

function hostileText(): string {
  const text = new Exposition('x_')
  text.write(
    'gauge',
    'names',
    'Help with a \\ and a\nline feed and "quotes".',
    HOSTILE.map((name, index) => [{ name, index }, index]),
  )
  return text.toString()
}

it('has a head and a line for each sample; what is not known has none', () => {
  const text = new Exposition('x_')
  text.write('counter', 'a_total', 'A.', byReason({ one: 1, two: 2 }, { of: 'b' }))
  text.write('gauge', 'b', 'B.', one(1.5))
  text.write('gauge', 'c', 'C.', one(null))
  text.write('gauge', 'd', 'D.', [
    [{ n: 1 }, null],
    [{ n: 2 }, Number.POSITIVE_INFINITY],
    [{ n: 3 }, Number.NaN],
  ])
  expect(text.toString()).toBe(`# HELP x_a_total A.
# TYPE x_a_total counter
x_a_total{of="b",reason="one"} 1
x_a_total{of="b",reason="two"} 2
# HELP x_b B.
# TYPE x_b gauge
x_b 1.5
# HELP x_d D.
# TYPE x_d gauge
x_d{n="2"} +Inf
x_d{n="3"} NaN
`)
})

it('a histogram counts upwards to all', () => {
  const text = new Exposition()
  text.writeHistogram('h_seconds', 'H.', {
    buckets: [
      [0.001, 1],
      [0.1, 3],
    ],
    count: 4,
    sum: 12.5,
  })
  expect(text.toString()).toBe(`# HELP h_seconds H.
# TYPE h_seconds histogram
h_seconds_bucket{le="0.001"} 1
h_seconds_bucket{le="0.1"} 3
h_seconds_bucket{le="+Inf"} 4
h_seconds_sum 12.5
h_seconds_count 4
`)
})

it('a name cannot end its label, its line or its comment', () => {
  const lines = hostileText().split('\n')
  expect(lines).toHaveLength(2 + HOSTILE.length + 1)
  expect(lines[0]).toBe('# HELP x_names Help with a \\\\ and a\\nline feed and "quotes".')
  expect(lines[2]).toBe('x_names{name="a\\"} 1\\nevil_total 2",index="0"} 0')
  expect(
    lines.filter((line) => !/^(# |x_names\{name="(\\.|[^"\\])*",index="\d"\} \d$|$)/.test(line)),
  ).toEqual([])
})

it.skipIf(!hasPromtool)('promtool reads it', () => {
  expect(checkMetrics(hostileText())).toBe('')
})
