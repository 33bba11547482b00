import { describe, expect, it } from 'vitest'
import { cursor, readVarint, varintSize, writeVarint } from '../../../broker/log/varint.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

/** Zigzag as the specification says it, in integers of any size. */
function reference(value: number): Buffer {
  const big = BigInt(value)
  let zigzag = big >= 0n ? big * 2n : -big * 2n - 1n
  const bytes: number[] = []
  do {
    bytes.push(Number(zigzag & 127n) | (zigzag > 127n ? 128 : 0))
    zigzag >>= 7n
  } while (zigzag > 0n)
  return Buffer.from(bytes)
}

function check(value: number): void {
  const expected = reference(value)
  const target = Buffer.alloc(14, 0xaa)
  expect(varintSize(value), `size of ${value}`).toBe(expected.length)
  expect(writeVarint(target, 2, value), `end of ${value}`).toBe(2 + expected.length)
  expect(target.subarray(2, 2 + expected.length).equals(expected), `bytes of ${value}`).toBe(true)
  expect(target[1]).toBe(0xaa)
  expect(target[2 + expected.length]).toBe(0xaa)
  expect(readVarint(target, 2), `value of ${value}`).toBe(value)
  expect(cursor.at).toBe(2 + expected.length)
}

describe('varints', () => {
  it('round-trip at every boundary of a size, on both sides of zero, beyond 32 bits', () => {
    for (let bits = 0; bits <= 51; bits++) {
      for (const near of [-2, -1, 0, 1, 2]) {
        check(2 ** bits + near)
        check(-(2 ** bits) + near)
      }
    }
    check(2 ** 52)
    check(-(2 ** 52))
  })

  it('round-trip random values of every magnitude', () => {
    const random = seededRandom(testSeed())
    for (let i = 0; i < 1500; i++) {
      const value = Math.floor(random.next() * 2 ** random.between(0, 52))
      check(random.next() < 0.5 ? value : 0 - value)
    }
  })

  it('are protobuf’s sint values', () => {
    for (const [value, hex] of [
      [0, '00'],
      [-1, '01'],
      [1, '02'],
      [-2, '03'],
      [2147483647, 'feffffff0f'],
      [-2147483648, 'ffffffff0f'],
    ] as const) {
      const target = Buffer.alloc(varintSize(value))
      writeVarint(target, 0, value)
      expect(target.toString('hex')).toBe(hex)
    }
  })

  it('that run past the end of their buffer are refused, wherever they are cut', () => {
    for (const value of [64, -8193, 2 ** 27, 2 ** 40, -(2 ** 52)]) {
      const whole = reference(value)
      for (let length = 0; length < whole.length; length++) {
        expect(() => readVarint(whole.subarray(0, length), 0), `${value} cut at ${length}`).toThrow(
          RangeError,
        )
      }
    }
  })

  it('of more than ten bytes are refused', () => {
    expect(() => readVarint(Buffer.concat([Buffer.alloc(10, 0xff), Buffer.of(0)]), 0)).toThrow(RangeError)
    expect(() => readVarint(Buffer.alloc(1000, 0x80), 0)).toThrow(RangeError)
    expect(Number.isFinite(readVarint(Buffer.concat([Buffer.alloc(9, 0xff), Buffer.of(1)]), 0))).toBe(true)
  })

  it('in garbage end in a value or a RangeError, and never past the buffer', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let i = 0; i < 1500; i++) {
      const garbage = Buffer.from(Array.from({ length: random.between(0, 16) }, () => random.between(0, 255)))
      const at = random.between(0, 16)
      try {
        readVarint(garbage, at)
        expect(cursor.at, `seed ${seed}`).toBeLessThanOrEqual(garbage.length)
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(RangeError)
      }
    }
  })
})
