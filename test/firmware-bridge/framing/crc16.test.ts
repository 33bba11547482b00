import { describe, expect, it } from 'vitest'
import { crc16 } from '../../../firmware-bridge/framing/crc16.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

/** Bit by bit, as the catalogue defines it. */
function byBits(bytes: Uint8Array): number {
  let crc = 0xffff
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const isOut = ((crc >>> 15) ^ (byte >>> bit)) & 1
      crc = ((crc << 1) & 0xffff) ^ (isOut ? 0x1021 : 0)
    }
  }
  return crc
}

describe('CRC-16/CCITT-FALSE', () => {
  it('has the check value of the catalogue', () => {
    expect(crc16(Buffer.from('123456789'))).toBe(0x29b1)
    expect(crc16(new Uint8Array(0))).toBe(0xffff)
  })

  it('is of the part that is named', () => {
    expect(crc16(Buffer.from('xx123456789y'), 2, 11)).toBe(0x29b1)
  })

  it('is what its definition by bits gives', () => {
    const random = seededRandom(testSeed())
    for (let length = 0; length < 300; length++) {
      const bytes = Uint8Array.from({ length }, () => random.between(0, 255))
      expect(crc16(bytes), `seed ${testSeed()}`).toBe(byBits(bytes))
    }
  })
})
