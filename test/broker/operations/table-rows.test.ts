import { expect, test } from 'vitest'
import { EntryRows } from '../../../broker/operations/commands/table-rows.ts'
import type { RecordJson } from '../../../broker/operations/record-json.ts'
import { Output } from '../../../broker/operations/terminal/output.ts'

function output(columns?: number): Output {
  const stream = { write: () => true, once: () => undefined, isTTY: columns !== undefined, columns }
  return new Output(stream, { NO_COLOR: '1' })
}

const record = (key: RecordJson['key'], value: RecordJson['value'], offset = 7): RecordJson => ({
  stream: 'machines',
  partition: 0,
  offset,
  timestamp: '2026-03-01T12:00:00.000Z',
  topic: null,
  key,
  value,
  headers: [],
})

test('rows are aligned under a heading that comes once', () => {
  const rows = new EntryRows(output())
  expect(rows.isEmpty).toBe(true)
  expect(rows.texts([record('a', 'running'), record('plant/10', 'off', 120)])).toEqual([
    'KEY       VALUE    OFFSET  TIME',
    'a         running     0/7  2026-03-01T12:00:00.000Z',
    'plant/10  off       0/120  2026-03-01T12:00:00.000Z',
  ])
  expect(rows.texts([record('b', null)])).toEqual(['b         (removed)     0/7  2026-03-01T12:00:00.000Z'])
  expect(rows.isEmpty).toBe(false)
})

test('on a terminal no row is wider than it, in a pipe nothing is cut', () => {
  const long = record('k'.repeat(80), 'v'.repeat(300))
  for (const columns of [60, 80, 120, 250]) {
    for (const line of new EntryRows(output(columns)).texts([long, record('a', 'b')])) {
      expect([...line].length).toBeLessThanOrEqual(columns)
    }
  }
  const piped = new EntryRows(output()).texts([long])[1]!
  expect(piped).toContain('k'.repeat(80))
  expect(piped).toContain('v'.repeat(300))
})

test('a gap stands in its place, and a time that is not to be trusted has a mark', () => {
  const gap = { stream: 'machines', partition: 0, gap: { from: 3, to: 9, reason: 'segment 7 was salvaged' } }
  const corrected = '2026-03-01T12:00:05.000Z'
  expect(
    new EntryRows(output())
      .texts([
        gap,
        { ...record('a', 'b'), clock: { trust: 'untrusted' } },
        { ...record('a', 'b'), clock: { trust: 'corrected', correctedTimestamp: corrected } },
      ])
      .slice(1)
      .map((line) => line.trim().split(/ {2,}/)),
  ).toEqual([
    ['(lost: segment 7 was salvaged)', '0/3-9'],
    ['a', 'b', '0/7', '2026-03-01T12:00:00.000Z?'],
    ['a', 'b', '0/7', corrected],
  ])
})

test('what is not printable is shown, and moves nothing', () => {
  const [, row] = new EntryRows(output(100)).texts([record('a\nb\u001b[2J', { base64: '/wA=' })])
  expect(row).toContain('a\\nb\\u001b[2J')
  expect(row).toContain('base64:/wA=')
})
