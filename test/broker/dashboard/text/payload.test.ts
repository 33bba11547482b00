import { describe, expect, it } from 'vitest'
import { indented } from '../../../../broker/dashboard/text/json-lines.ts'
import { hexLines, oneLine, payloadOf, truncated } from '../../../../broker/dashboard/text/payload.ts'
import { visible } from '../../../../broker/dashboard/text/visible.ts'

describe('JSON', () => {
  it('gets line breaks', () => {
    expect(indented('{"a":1,"b":[true,null,"x, y: {}"],"c":{},"d":[ ]}')).toBe(
      '{\n  "a": 1,\n  "b": [\n    true,\n    null,\n    "x, y: {}"\n  ],\n  "c": {},\n  "d": []\n}',
    )
  })

  it('keeps its tokens: digits that a number would lose, keys that stand twice, escapes', () => {
    const text = String.raw`{"id":12345678901234567890,"id":1.0e+2,"s":"a\"}\\","u":"\u003c"}`
    expect(indented(text)!.replace(/\s/g, '')).toBe(text)
  })

  it('is an object or an array, and whole', () => {
    for (const text of ['21.5', '"text"', '', '{"a":1', '{"a":1}}', '[1,]', '{a:1}']) {
      expect(indented(text), text).toBeNull()
    }
  })

  it('of great depth does not grow by its square', () => {
    const depth = 5_000
    const text = indented('['.repeat(depth) + ']'.repeat(depth))!
    expect(text.length).toBeLessThan(depth * 2 * 90)
  })
})

describe('a payload', () => {
  it('is JSON, text, bytes or nothing', () => {
    expect(payloadOf('{"a":1}')).toEqual({ kind: 'json', bytes: 7, text: '{\n  "a": 1\n}' })
    expect(payloadOf('21,5 °C')).toEqual({ kind: 'text', bytes: 8, text: '21,5 °C' })
    expect(payloadOf({ base64: 'AP8=' })).toEqual({
      kind: 'bytes',
      bytes: 2,
      text: hexLines(Uint8Array.of(0, 255)),
    })
    expect(payloadOf(null)).toEqual({ kind: 'none', bytes: 0, text: '' })
    expect(payloadOf('').bytes).toBe(0)
  })

  it('in hex has sixteen bytes a line, beside what of them is ASCII', () => {
    const bytes = new TextEncoder().encode('{"a":1}\u0000 Headwater')
    expect(hexLines(bytes).split('\n')).toEqual([
      '00000000  7b 22 61 22 3a 31 7d 00  20 48 65 61 64 77 61 74  {"a":1}. Headwat',
      '00000010  65 72                                             er',
    ])
  })

  it('on one line is cut, and shows what would break the line', () => {
    expect(oneLine('a\nb')).toBe('a\\nb')
    expect(oneLine('x'.repeat(1_000))).toBe(`${'x'.repeat(240)}\u2026`)
    expect(oneLine({ base64: Buffer.from('hello').toString('base64') })).toBe('68 65 6c 6c 6f')
    expect(oneLine({ base64: Buffer.alloc(100).toString('base64') })).toBe(`${'00 '.repeat(32)}\u2026`)
  })

  it('is cut between characters', () => {
    expect(truncated('abc', 3)).toBeNull()
    expect(truncated('abcd', 3)).toBe('abc')
    expect(truncated('ab\u{1f4a7}d', 3)).toBe('ab')
  })
})

it('what is invisible, or turns the direction of text around it, is written out', () => {
  expect(visible('a\u202eb\u0000c\u200bd\u2066e\u2028f\u0085g')).toBe(
    String.raw`a\u202eb\u0000c\u200bd\u2066e\u2028f\u0085g`,
  )
  expect(visible('Zürich 東京 \u{1f4a7} <b>')).toBe('Zürich 東京 \u{1f4a7} <b>')
})
