import { expect, test } from 'vitest'
import { Output } from '../../../../broker/operations/terminal/output.ts'
import { pageOf } from '../../../../broker/operations/terminal/page.ts'
import { tableLines } from '../../../../broker/operations/terminal/table.ts'
import { cutTo, padTo, textWidth } from '../../../../broker/operations/terminal/width.ts'

const RED = '\u001b[31m'
const PLAIN = '\u001b[39m'

test.each([
  ['plant/7', 7],
  ['Fühler', 6],
  // e and a combining acute
  ['cafe\u0301', 4],
  ['温度', 4],
  ['ｗｉｄｅ', 8],
  ['온도계', 6],
  ['🌡 3', 3],
  ['✅', 2],
  [`${RED}red${PLAIN}`, 3],
  ['', 0],
])('%j is %i columns wide', (text, columns) => {
  expect(textWidth(text)).toBe(columns)
})

test.each([
  ['temperature', 6, 'tempe…'],
  ['temperature', 11, 'temperature'],
  // a wide character that would stand half in is left out
  ['温度計', 4, '温…'],
  ['温度計', 5, '温度…'],
  ['cafe\u0301 au lait', 5, 'cafe\u0301…'],
  ['x', 0, ''],
])('%j in %i columns is %j', (text, columns, cut) => {
  expect(cutTo(text, columns)).toBe(cut)
  expect(textWidth(cut)).toBeLessThanOrEqual(columns)
})

test('a cut text ends its colour', () => {
  expect(cutTo(`${RED}failed: no disk${PLAIN}`, 7)).toBe(`${RED}failed…${PLAIN}`)
})

test('wide characters and colours are padded by what is seen', () => {
  expect(padTo('温', 4)).toBe('温  ')
  expect(padTo(`${RED}x${PLAIN}`, 3, 'right')).toBe(`  ${RED}x${PLAIN}`)
})

const COLUMNS = [{ title: 'CLIENT' }, { title: 'BYTES', align: 'right' as const }, { title: 'WHERE' }]
const ROWS = [['pump-7-of-the-northern-hall', '1,234,567', 'mqtt://broker.example.org']]

test('a table fits the terminal: the widest texts are cut, numbers never', () => {
  const lines = tableLines(COLUMNS, ROWS, 40)
  expect(lines[1]).toBe('pump-7-of-th…  1,234,567  mqtt://broker…')
  expect(lines.every((line) => textWidth(line) <= 40)).toBe(true)
  expect(tableLines(COLUMNS, ROWS)[1]).toContain(
    'pump-7-of-the-northern-hall  1,234,567  mqtt://broker.example.org',
  )
})

test('a table that cannot fit keeps its numbers and the beginnings of its names', () => {
  expect(tableLines(COLUMNS, ROWS, 10)[1]).toBe('pump-7-…  1,234,567  mqtt://…')
})

const stream = (isTTY: boolean) => ({ isTTY, columns: 30, rows: 5, write: () => true, once() {} })

test.each([
  [{}, true, true],
  [{}, false, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ NO_COLOR: '' }, true, true],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '3', NO_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '0' }, true, false],
  [{ FORCE_COLOR: '' }, false, false],
  [{ TERM: 'dumb' }, true, false],
])('with %j on a terminal (%s) there are colours: %s', (env, isTTY, has) => {
  expect(new Output(stream(isTTY), env).hasColours).toBe(has)
})

test('a page has the lines of a report, as wide and as coloured as its terminal', () => {
  const lines = pageOf(new Output(stream(true), {}), (page) => {
    page.line(page.paint('red', `${page.columns}`))
    page.line()
    page.line('end')
  })
  expect(lines).toEqual([`${RED}30${PLAIN}`, '', 'end'])
  expect(
    pageOf(new Output(stream(true), { NO_COLOR: '1' }), (page) => page.line(page.paint('red', 'x'))),
  ).toEqual(['x'])
})
