import { expect, test } from 'vitest'
import { Output } from '../../../../broker/operations/terminal/output.ts'
import { printable, printableJson, printableLines } from '../../../../broker/operations/terminal/printable.ts'
import { StatusLine } from '../../../../broker/operations/terminal/status-line.ts'
import { printFacts, tableLines } from '../../../../broker/operations/terminal/table.ts'
import {
  ago,
  bytes,
  count,
  duration,
  milliseconds,
  rate,
} from '../../../../broker/operations/terminal/units.ts'

class Screen {
  readonly isTTY: boolean
  readonly columns = 20
  text = ''
  constructor(isTTY: boolean) {
    this.isTTY = isTTY
  }
  write(text: string | Uint8Array): boolean {
    this.text += text
    return true
  }
  once(): void {}
}

test('columns are aligned, numbers to the right, and no line ends in a space', () => {
  const columns = [{ title: 'STREAM' }, { title: 'RECORDS', align: 'right' as const }, { title: 'WHERE' }]
  expect(
    tableLines(columns, [
      ['events', '1,234', '/data'],
      ['é', '7', ''],
    ]),
  ).toEqual(['STREAM  RECORDS  WHERE', 'events    1,234  /data', 'é             7'])
})

test('where a line does not fit, columns that are extra go before others are cut, and a state is never cut', () => {
  const columns = [
    { title: 'UPSTREAM' },
    { title: 'STATE', isWhole: true },
    { title: 'LAG', align: 'right' as const, isExtra: true },
    { title: 'WHERE', isExtra: true },
  ]
  const rows = [['usb-disk-of-the-hall', 'recovering', '7', '/media/usb/headwater']]
  expect(tableLines(columns, rows, 80)[1]).toBe('usb-disk-of-the-hall  recovering    7  /media/usb/headwater')
  expect(tableLines(columns, rows, 50)[1]).toBe('usb-disk-of-the-hall  recovering    7  /media/usb…')
  expect(tableLines(columns, rows, 40)).toEqual([
    'UPSTREAM              STATE       LAG',
    'usb-disk-of-the-hall  recovering    7',
  ])
  expect(tableLines(columns, rows, 32)[1]).toBe('usb-disk-of-the-hall  recovering')
  expect(tableLines(columns, rows, 24)[1]).toBe('usb-disk-of…  recovering')
})

test('numbers alone do not make a line wrap: what is extra goes, also where nothing is left that could be cut', () => {
  const columns = [
    { title: 'UPSTREAM' },
    { title: 'LAG', align: 'right' as const },
    { title: 'LAST ACK', align: 'right' as const, isExtra: true },
    { title: 'WHERE', isExtra: true },
  ]
  const rows = [['archive', '1,234,567', '12 s ago', '/var/lib/headwater/upstream']]
  expect(tableLines(columns, rows, 41)[1]).toBe('archive   1,234,567  12 s ago  /var/lib/…')
  expect(tableLines(columns, rows, 40)[1]).toBe('archive   1,234,567  12 s ago')
  expect(tableLines(columns, rows, 25)[1]).toBe('archive   1,234,567')
})

test('labels are aligned', () => {
  const screen = new Screen(false)
  printFacts(new Output(screen, {}), [
    ['a', 'x'],
    ['long', 'y'],
  ])
  expect(screen.text).toBe('a     x\nlong  y\n')
})

test('colours are for terminals that want them', () => {
  expect(new Output(new Screen(false), {}).paint('red', 'x')).toBe('x')
  expect(new Output(new Screen(true), { NO_COLOR: '1' }).paint('red', 'x')).toBe('x')
  expect(new Output(new Screen(true), { TERM: 'dumb' }).paint('red', 'x')).toBe('x')
  expect(new Output(new Screen(true), {}).paint('red', 'x')).toBe('\u001b[31mx\u001b[39m')
})

test('what is written over again and again is for terminals that can move the cursor', () => {
  expect(new Output(new Screen(false), { FORCE_COLOR: '1' }).canRedraw).toBe(false)
  expect(new Output(new Screen(true), { TERM: 'dumb' }).canRedraw).toBe(false)
  expect(new Output(new Screen(true), { NO_COLOR: '1' }).canRedraw).toBe(true)
})

test('JSON is one line in a pipe and readable on a terminal', () => {
  const pipe = new Screen(false)
  new Output(pipe, {}).json({ a: 1 })
  expect(pipe.text).toBe('{"a":1}\n')
  const terminal = new Screen(true)
  new Output(terminal, {}).json({ a: 1 })
  expect(terminal.text).toBe('{\n  "a": 1\n}\n')
})

test('a status line never wraps, and other lines go above it', () => {
  const screen = new Screen(true)
  const out = new Output(screen, { NO_COLOR: '1' })
  const line = new StatusLine(out)
  line.around(() => out.line('before'))
  line.show('x'.repeat(30))
  expect(screen.text).toBe(`before\n\r\u001b[2K${'x'.repeat(18)}…`)
  screen.text = ''
  line.around(() => out.line('log'))
  expect(screen.text).toBe(`\r\u001b[2Klog\n${'x'.repeat(18)}…`)
})

test('text from outside cannot move the cursor', () => {
  expect(printable('a\nb\u001b[2J\u009b\t\u007f')).toBe('a\\nb\\u001b[2J\\u009b\\t\\u007f')
  expect(printableJson(JSON.stringify('\u009bü'))).toBe('"\\u009bü"')
  expect(JSON.parse(printableJson(JSON.stringify('\u009bü')))).toBe('\u009bü')
})

test('text from outside neither ends a line nor turns what stands beside it nor hides', () => {
  expect(printable('a\u2028b\u202egnp.exe\u2066\ufeff')).toBe('a\\u2028b\\u202egnp.exe\\u2066\\ufeff')
  expect(printable('\u{e0041}')).toBe('\\udb40\\udc41')
  // what joins letters or emoji belongs to them
  expect(printable('👩\u200d🔧 می\u200cخواهم')).toBe('👩\u200d🔧 می\u200cخواهم')
  const hostile = '\u202e\u2028\u{e0041}\u0085'
  expect(printableJson(JSON.stringify(hostile))).toMatch(/^[\x20-\x7e]*$/)
  expect(JSON.parse(printableJson(JSON.stringify(hostile)))).toBe(hostile)
  expect(printableLines('a\n\tb\r\u001b[2J\u009b')).toBe('a\n\tb\\u000d\\u001b[2J\\u009b')
})

test('JSON on a terminal does not steer it, and in a pipe is as it is', () => {
  const written = (isTTY: boolean) => {
    let text = ''
    const write = (more: string | Uint8Array) => {
      text += more
      return true
    }
    const stream = { isTTY, write, once: () => {} }
    new Output(stream, {}).json({ a: '\u009b\u202e' })
    return text
  }
  expect(written(true)).toBe('{\n  "a": "\\u009b\\u202e"\n}\n')
  expect(written(false)).toBe('{"a":"\u009b\u202e"}\n')
})

test('numbers for people', () => {
  expect([0, 999, 1000, 1_234_567].map(count)).toEqual(['0', '999', '1,000', '1,234,567'])
  expect([0, 999, 1000, 9949, 12_345, 999_499, 999_500, 33_554_432, 5e12].map(bytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '9.9 kB',
    '12 kB',
    '999 kB',
    '1.0 MB',
    '34 MB',
    '5.0 TB',
  ])
  expect([0, 0.2, 9.96, 1500].map(rate)).toEqual(['0/s', '0.2/s', '10/s', '1,500/s'])
  expect([0.04, 2.25, 12.6, 999, 1500].map(milliseconds)).toEqual([
    '0.0 ms',
    '2.3 ms',
    '13 ms',
    '999 ms',
    '1.5 s',
  ])
  expect([400, 59_000, 61_000, 3_600_000, 11_520_000, 180_000_000].map(duration)).toEqual([
    '0 s',
    '59 s',
    '1 min 1 s',
    '1 h',
    '3 h 12 min',
    '2 d 2 h',
  ])
  expect(ago(null)).toBe('never')
  expect(ago(1000, 3000)).toBe('2 s ago')
})
