import { describe, expect, it } from 'vitest'
import { cobsBytesMax, cobsDecode, cobsEncode } from '../../../firmware-bridge/framing/cobs.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

function encoded(bytes: Uint8Array): Buffer {
  const target = Buffer.alloc(cobsBytesMax(bytes.length))
  return target.subarray(0, cobsEncode(bytes, 0, bytes.length, target, 0))
}

function decoded(bytes: Uint8Array): Buffer | null {
  const target = Buffer.alloc(bytes.length)
  const end = cobsDecode(bytes, 0, bytes.length, target, 0)
  return end < 0 ? null : target.subarray(0, end)
}

const run = (first: number, count: number) =>
  Buffer.from(Array.from({ length: count }, (_, i) => (first + i) & 0xff))

/** The examples of the paper and of its article in Wikipedia. */
const EXAMPLES: [Buffer, Buffer][] = [
  [hex(''), hex('01')],
  [hex('00'), hex('01 01')],
  [hex('00 00'), hex('01 01 01')],
  [hex('00 11 00'), hex('01 02 11 01')],
  [hex('11 22 00 33'), hex('03 11 22 02 33')],
  [hex('11 22 33 44'), hex('05 11 22 33 44')],
  [hex('11 00 00 00'), hex('02 11 01 01 01')],
  [run(1, 254), Buffer.concat([hex('ff'), run(1, 254)])],
  [Buffer.concat([hex('00'), run(1, 254)]), Buffer.concat([hex('01 ff'), run(1, 254)])],
  [run(1, 255), Buffer.concat([hex('ff'), run(1, 254), hex('02 ff')])],
  [
    Buffer.concat([run(2, 254), hex('00')]),
    Buffer.concat([hex('ff'), run(2, 254).subarray(0, 254), hex('01 01')]),
  ],
  [Buffer.concat([run(3, 253), hex('00 01')]), Buffer.concat([hex('fe'), run(3, 253), hex('02 01')])],
]

describe('COBS', () => {
  it.each(EXAMPLES)('%# encodes and decodes as published', (plain, stuffed) => {
    expect(encoded(plain).toString('hex')).toBe(stuffed.toString('hex'))
    expect(decoded(stuffed)?.toString('hex')).toBe(plain.toString('hex'))
  })

  it('reads the form that ends a full block with an empty one', () => {
    expect(decoded(Buffer.concat([hex('ff'), run(1, 254), hex('01')]))).toEqual(run(1, 254))
  })

  it('gives back what it got, without a zero on the wire and within its bound', () => {
    const random = seededRandom(testSeed())
    for (let length = 0; length <= 600; length++) {
      const zeros = random.next() / 4
      const plain = Buffer.from(
        Array.from({ length }, () => (random.next() < zeros ? 0 : random.between(0, 255))),
      )
      const stuffed = encoded(plain)
      expect(stuffed.includes(0), `seed ${testSeed()}`).toBe(false)
      expect(stuffed.length).toBeLessThanOrEqual(cobsBytesMax(length))
      expect(decoded(stuffed), `seed ${testSeed()}`).toEqual(plain)
    }
  })

  it('refuses a block that reaches beyond the end', () => {
    expect(decoded(hex('05 11 22 33'))).toBeNull()
    expect(decoded(hex('02 11 ff 22'))).toBeNull()
  })

  it('refuses a zero, as a code and within a block', () => {
    expect(decoded(hex('00'))).toBeNull()
    expect(decoded(hex('03 11 00'))).toBeNull()
  })
})
