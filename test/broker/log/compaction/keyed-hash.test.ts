import { describe, expect, it } from 'vitest'
import { KeyedHash } from '../../../../broker/log/compaction/keyed-hash.ts'

const digestOf = (hash: KeyedHash, bytes: Uint8Array, at = 0, length = bytes.length): string => {
  hash.digest(bytes, at, length)
  return [hash.h0, hash.h1, hash.h2, hash.h3]
    .map((word) => (word >>> 0).toString(16).padStart(8, '0'))
    .join(' ')
}

/** Of the test vectors published with Chaskey (mouha.be/chaskey): by the length of the message 00 01 02 … */
const VECTORS: [number, string][] = [
  [0, '792e8fe5 75ce87aa 2d1450b5 1191970b'],
  [1, '13a9307b 50e62c89 4577bd88 c0bbdc18'],
  [2, '55df8922 2c7ff577 73809ef4 4e5084c0'],
  [3, '1bdbb264 a07680d8 8e5b2ab8 20660413'],
  [4, '30b2d171 e38532fb 16707c16 73ed45f0'],
  [5, 'bc983d0c 31b14064 234cd7a2 0c92bbf9'],
  [8, '09330f69 62b5dce0 a4fba462 f20d3c12'],
  [11, 'd5b0dbec c1692530 d13b368a c0ae6a59'],
  [12, 'fc2c3391 285c8cd5 456508ee c789e206'],
  [15, '51b94da4 efcc4de8 192412ea bbc170dd'],
  [16, '79271ca9 d66a1c71 81ca474e 49831cad'],
  [17, '048da968 4e25d096 2d6cf897 bc3959ca'],
  [31, 'bbdd0c2d fab6fcd9 dccc080e 9f04b41f'],
  [32, '60b3f7af 37eee7c8 836cfd98 782ca060'],
  [33, 'df44ea33 b0b2c398 0583ce6f 846d823e'],
  [48, '127c6e21 6c07a459 ad851388 22e8bf5b'],
  [63, '9047fad7 88136d8c a488286b 7fe9352c'],
]

describe('the keyed hash', () => {
  it.each(VECTORS)('of a message of %i bytes is what its authors published', (length, expected) => {
    const hash = new KeyedHash([0x833d3433, 0x009f389f, 0x2398e64f, 0x417acf39])
    const message = Uint8Array.from({ length: 64 }, (_, i) => i)
    expect(digestOf(hash, message, 0, length)).toBe(expected)
  })

  it('is of the bytes asked for alone, wherever they stand', () => {
    const hash = KeyedHash.of(Buffer.from('833d3433009f389f2398e64f417acf39', 'hex').swap32())
    for (const [length, expected] of VECTORS) {
      const around = Buffer.alloc(100, 0xee)
      for (let i = 0; i < length; i++) around[17 + i] = i
      expect(digestOf(hash, around, 17, length)).toBe(expected)
    }
  })
})
