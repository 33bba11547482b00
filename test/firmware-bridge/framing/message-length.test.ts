import { describe, expect, it } from 'vitest'
import { declaredLength } from '../../../firmware-bridge/framing/message-length.ts'

const bytes = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('the length that a message says it has', () => {
  it.each([
    ['of one octet', '02 17', 2],
    ['of three octets', '01 01 00 0c', 256],
    ['of a forwarder, with what it carries', '05 fe 00 01 02 07 0d 00 09 00 4d 00', 12],
    ['of a forwarder around a long message', '04 fe 00 01 01 01 00 0c', 260],
    ['of a forwarder with a long length', '01 00 06 fe 00 01 02 17', 8],
  ])('%s', (_, text, length) => {
    expect(declaredLength(bytes(text))).toBe(length)
  })

  it.each([
    ['nothing', ''],
    ['one octet', '02'],
    ['half a long length', '01 00 05'],
    ['a forwarder that carries nothing', '05 fe 00 01 02'],
    ['a forwarder that carries one octet', '05 fe 00 01 02 07'],
  ])('is not to be known of %s', (_, text) => {
    expect(declaredLength(bytes(text))).toBe(-1)
  })

  it('is read between start and end', () => {
    expect(declaredLength(bytes('ff ff 02 17 ff'), 2, 4)).toBe(2)
    expect(declaredLength(bytes('04 fe 00 01 02 17'), 0, 5)).toBe(-1)
  })
})
