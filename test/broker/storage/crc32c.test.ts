import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { crc32c } from '../../../broker/storage/crc32c.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

describe('CRC-32C', () => {
  it('gives the values of RFC 3720, B.4, and of the check string', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43)
    expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e)
    expect(crc32c(Buffer.alloc(0))).toBe(0)
  })

  it('is the same from the native library and from the one that serves where that does not load', () => {
    const require = createRequire(import.meta.url)
    const wasm = require('@platformatic/wasm-utils') as { crc32c: typeof crc32c }
    const random = seededRandom(testSeed())
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(Array.from({ length: random.between(0, 300) }, () => random.between(0, 255)))
      expect(wasm.crc32c(bytes) >>> 0).toBe(crc32c(bytes))
    }
  })
})
