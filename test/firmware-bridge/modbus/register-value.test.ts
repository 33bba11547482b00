import { describe, expect, it } from 'vitest'
import type { RegisterConfig } from '../../../firmware-bridge/modbus/config.ts'
import { registerValue } from '../../../firmware-bridge/modbus/register-value.ts'
import { register } from './config.ts'

const value = (bytes: string, more: Partial<RegisterConfig>, offset = 0) =>
  registerValue(register(0, more), Buffer.from(bytes, 'hex'), offset)

describe('a register', () => {
  it.each([
    ['uint16', 'ffff', 65_535],
    ['int16', 'ffff', -1],
    ['int16', '8000', -32_768],
    ['uint32', 'ffffffff', 4_294_967_295],
    ['int32', 'fffffffe', -2],
    ['float32', '41aa6666', 21.3],
    ['float32', '3f800000', 1],
    ['float32', '4b800001', 16_777_218],
    ['float32', '7fc00000', null],
    ['float32', '7f800000', null],
  ] as const)('of %s %s is %s', (type, bytes, expected) => {
    expect(value(bytes, { type })).toBe(expected)
  })

  it.each([
    ['abcd', '41aa6666'],
    ['cdab', '666641aa'],
    ['badc', 'aa416666'],
    ['dcba', '6666aa41'],
  ] as const)('of %s is read in that order', (wordOrder, bytes) => {
    expect(value(bytes, { type: 'float32', wordOrder })).toBe(21.3)
  })

  it('of 16 bits has an order of bytes alone', () => {
    expect(value('0102', { wordOrder: 'cdab' })).toBe(0x0102)
    expect(value('0102', { wordOrder: 'badc' })).toBe(0x0201)
  })

  it('is scaled without the noise of binary fractions', () => {
    expect(value('0866', { scale: 0.01 })).toBe(21.5)
    expect(value('ffff', { type: 'int16', scale: 0.1 })).toBe(-0.1)
  })

  it('is where its offset says', () => {
    expect(value('000100020003', {}, 2)).toBe(3)
    expect(value('0000000041aa6666', { type: 'float32' }, 2)).toBe(21.3)
  })

  it('as a float comes back as the same float', () => {
    for (let bits = 0x3e000000; bits < 0x46000000; bits += 0x10_0f_13) {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(bits)
      const number = registerValue(register(0, { type: 'float32' }), bytes, 0)!
      expect(Math.fround(number)).toBe(bytes.readFloatBE(0))
    }
  })
})
