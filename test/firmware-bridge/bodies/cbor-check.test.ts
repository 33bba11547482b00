import { Encoder } from 'cbor-x'
import { describe, expect, it } from 'vitest'
import { checkCborMap } from '../../../firmware-bridge/bodies/cbor-check.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const encoder = new Encoder({ useRecords: false, mapsAsObjects: false })

describe('a CBOR map', () => {
  it.each([
    ['an empty one', 'a0', 0],
    [
      'whole numbers of every width',
      'a6 01 17 02 18ff 03 19ffff 04 1affffffff 05 1bffffffffffffffff 06 20',
      6,
    ],
    [
      'floats, truths, null and undefined',
      'a6 01 f93c00 02 fa3f800000 03 fb3ff0000000000000 04 f5 05 f6 06 f7',
      6,
    ],
    ['text and bytes', 'a2 01 63616263 02 43000102', 2],
    ['arrays and maps in it', 'a2 01 83010203 02 a10102', 3],
    ['one without its length', 'bf 01 02 03 04 ff', 2],
    ['an array without its length', 'a1 01 9f 01 02 ff', 1],
  ])('is well-formed: %s', (_, bytes, pairs) => {
    expect(checkCborMap(hex(bytes))).toBe(pairs)
  })

  it.each([
    ['nothing', '', 'not a map'],
    ['an array', '80', 'not a map'],
    ['a number', '01', 'not a map'],
    ['a value that is missing', 'a1 01', 'cut short'],
    ['a number that is cut', 'a1 01 19ff', 'cut short'],
    ['text beyond the end', 'a1 01 78ff 61', 'cut short'],
    ['bytes of 2^63', 'a1 01 5b8000000000000000 00', 'cut short'],
    ['an array of 2^32 items', 'a1 01 9affffffff', 'cut short'],
    ['an array of 2^64 items', 'a1 01 9bffffffffffffffff', 'cut short'],
    ['a map of 2^32 pairs', 'baffffffff 0102', 'cut short'],
    ['a map without its end', 'bf 0102', 'cut short'],
    ['a map without its last value', 'bf 01 ff', 'not CBOR'],
    ['bytes behind it', 'a0 00', 'bytes behind the map'],
    ['a date', 'a1 01 c1 1a00000000', 'a tag'],
    ['a shared reference', 'a1 01 d81d 00', 'a tag'],
    ['a bignum', 'a1 01 c2 4101', 'a tag'],
    ['text that is not UTF-8', 'a1 01 62c328', 'text that is not UTF-8'],
    ['text in pieces', 'a1 01 7f 6161 6162 ff', 'a string in pieces'],
    ['bytes in pieces', 'a1 01 5f 4101 ff', 'a string in pieces'],
    ['reserved lengths', 'a1 01 1c', 'not CBOR'],
    ['simple values without a meaning', 'a1 01 f8ff', 'not CBOR'],
    ['a break where none is', 'a1 01 ff', 'not CBOR'],
    ['a number without its length', 'a1 01 1f', 'not CBOR'],
  ])('is refused with %s', (_, bytes, fault) => {
    expect(checkCborMap(hex(bytes))).toBe(fault)
  })

  it('nests to a limit and no deeper, however deep it would be', () => {
    const nested = (depth: number) => Buffer.concat([hex('a101'), Buffer.alloc(depth - 1, 0x81), hex('00')])
    expect(checkCborMap(nested(8))).toBe(1)
    expect(checkCborMap(nested(9))).toBe('nested too deeply')
    expect(checkCborMap(Buffer.concat([hex('a101'), Buffer.alloc(1_000_000, 0x81)]))).toBe(
      'nested too deeply',
    )
    expect(checkCborMap(Buffer.alloc(1_000_000, 0xbf))).toBe('nested too deeply')
  })

  it('has items to a limit', () => {
    const withItems = (count: number) => encoder.encode(new Map([[1, new Array(count).fill(0)]]))
    expect(checkCborMap(withItems(1000))).toBe(1)
    expect(checkCborMap(withItems(1100))).toBe('too many items')
  })
})
