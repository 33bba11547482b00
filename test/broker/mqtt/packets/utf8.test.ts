import { describe, expect, it } from 'vitest'
import { isName, isText, textError } from '../../../../broker/mqtt/packets/utf8.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { hex } from './support.ts'

const isTextOf = (bytes: Uint8Array) => isText(bytes, 0, bytes.length)
const isNameOf = (bytes: Uint8Array) => isName(bytes, 0, bytes.length)
const errorOf = (bytes: Uint8Array) => textError(bytes, 0, bytes.length, 'it').message

/** Another's judgement. */
function isWellFormed(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

describe('UTF-8 text [MQTT-1.5.4-1]', () => {
  it('takes every code point there is but the surrogates and U+0000', () => {
    for (let codePoint = 1; codePoint <= 0x10ffff; codePoint++) {
      if (codePoint >= 0xd800 && codePoint <= 0xdfff) continue
      if (!isTextOf(Buffer.from(String.fromCodePoint(codePoint)))) expect.fail(`U+${codePoint.toString(16)}`)
    }
  })

  it('refuses encodings of U+D800 to U+DFFF', () => {
    for (let codePoint = 0xd800; codePoint <= 0xdfff; codePoint++) {
      const bytes = [0xe0 | (codePoint >> 12), 0x80 | ((codePoint >> 6) & 0x3f), 0x80 | (codePoint & 0x3f)]
      expect(isTextOf(Buffer.from(bytes))).toBe(false)
    }
    expect(errorOf(hex('eda080'))).toContain('[MQTT-1.5.4-1]')
  })

  it('refuses overlong forms, code points above U+10FFFF and sequences cut short', () => {
    for (const bad of [
      'c080',
      'c1bf',
      'e08080',
      'e09fbf',
      'f0808080',
      'f08fbfbf',
      'f4908080',
      'f5808080',
      'ff',
    ]) {
      expect(isTextOf(hex(bad)), bad).toBe(false)
      expect(errorOf(hex(bad)), bad).toContain('[MQTT-1.5.4-1]')
    }
    for (const cut of [
      'c3',
      'e2',
      'e282',
      'f0',
      'f09f',
      'f09f98',
      '61c3',
      '80',
      'bf',
      'c328',
      'e228a1',
      'f0288cbc',
    ]) {
      expect(isTextOf(hex(cut)), cut).toBe(false)
    }
  })

  it('refuses the same bytes as another decoder, but for U+0000', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const starts = [0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5]
    for (let round = 0; round < 50_000; round++) {
      const bytes = Buffer.from(
        Array.from({ length: random.between(1, 6) }, () =>
          random.between(0, 1) === 0 ? starts[random.between(0, starts.length - 1)]! : random.between(1, 255),
        ),
      )
      if (isTextOf(bytes) !== isWellFormed(bytes))
        expect.fail(`${bytes.toString('hex')} HEADWATER_TEST_SEED=${seed}`)
    }
  })

  it('refuses U+0000 [MQTT-1.5.4-2]', () => {
    expect(isTextOf(hex('610062'))).toBe(false)
    expect(isNameOf(hex('610062'))).toBe(false)
    expect(errorOf(hex('610062'))).toContain('[MQTT-1.5.4-2]')
  })

  it('takes U+FEFF wherever it stands [MQTT-1.5.4-3]', () => {
    expect(isTextOf(hex('efbbbf61efbbbf'))).toBe(true)
    expect(isNameOf(hex('efbbbf61efbbbf'))).toBe(true)
  })

  it('looks at no byte beyond its range', () => {
    expect(isText(hex('00c3a900'), 1, 3)).toBe(true)
    expect(isText(hex('c3a9'), 0, 1)).toBe(false)
    expect(isName(hex('00c3a900'), 1, 3)).toBe(true)
    expect(isText(hex('ff'), 0, 0)).toBe(true)
  })
})

describe('a name [section 1.5.4]', () => {
  it('has neither control characters nor non-characters; free text may', () => {
    const codePoints = [0x01, 0x09, 0x1f, 0x7f, 0x80, 0x9f, 0xfdd0, 0xfdef, 0xfffe, 0xffff, 0x1fffe, 0x10ffff]
    for (const codePoint of codePoints) {
      const bytes = Buffer.from(`a${String.fromCodePoint(codePoint)}`)
      expect(isNameOf(bytes), `U+${codePoint.toString(16)}`).toBe(false)
      expect(isTextOf(bytes), `U+${codePoint.toString(16)}`).toBe(true)
      expect(errorOf(bytes)).toContain('[section 1.5.4]')
    }
  })

  it('has any other character', () => {
    for (const codePoint of [
      0x20, 0x7e, 0xa0, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfdcf, 0xfdf0, 0xfffd, 0x10000, 0x2a6d4,
    ]) {
      expect(isNameOf(Buffer.from(String.fromCodePoint(codePoint))), `U+${codePoint.toString(16)}`).toBe(true)
    }
  })
})
