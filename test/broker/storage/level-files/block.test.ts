import { describe, expect, it } from 'vitest'
import { BlockCursor, checkBlock, hasRightChecksum } from '../../../../broker/storage/level-files/block.ts'
import { internalKeyOf, SEQUENCE_MAX } from '../../../../broker/storage/level-files/internal-key.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { blockOf, withTrailer } from './blocks.ts'

const ANY = { after: null, through: null, sequenceMax: SEQUENCE_MAX, filter: null, offset: 0 }
const key = (name: string, sequence = 1) => internalKeyOf(Buffer.from(name), sequence, true)

function entriesOf(block: Buffer): string[] {
  const cursor = new BlockCursor(block)
  const found: string[] = []
  while (cursor.next()) {
    found.push(`${cursor.key.toString('latin1', 0, cursor.keyLength - 8)}=${cursor.value}`)
    // a damaged block may say anything, but not go on for ever
    if (found.length > block.length) throw new Error('more entries than bytes')
  }
  return found
}

describe('a block', () => {
  it('is read from the bytes of its worked example', () => {
    const block = Buffer.from('0009016b0101000000000000760000000001000000', 'hex')
    expect(entriesOf(block)).toEqual(['k=v'])
    expect(block).toEqual(blockOf([[key('k'), 'v']]))
    expect(checkBlock(block, ANY)).toEqual({ fault: null, first: key('k'), last: key('k') })
  })

  it('is read with keys that share their beginnings, over restarts, with values of any size', () => {
    const pairs = Array.from({ length: 100 }, (_, i) => [key(`key-${1000 + i}`), 'v'.repeat(i * 7)] as const)
    const block = blockOf(pairs)
    expect(entriesOf(block)).toEqual(pairs.map(([k, v]) => `${k.toString('latin1', 0, k.length - 8)}=${v}`))
    expect(new BlockCursor(block).restarts).toBe(7)
    expect(checkBlock(block, ANY).fault).toBeNull()
  })

  it('has a checksum that covers its bytes and its type', () => {
    const whole = withTrailer(blockOf([[key('k'), 'v']]))
    expect(hasRightChecksum(whole)).toBe(true)
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole)
      damaged[at]! ^= 1
      expect(hasRightChecksum(damaged)).toBe(false)
    }
    expect(hasRightChecksum(Buffer.alloc(0))).toBe(false)
  })

  it('is at fault where LevelDB would stumble, pass over an entry, or miss one that it searches', () => {
    const faultOf = (pairs: readonly (readonly [Buffer, string])[], limits = {}) =>
      checkBlock(blockOf(pairs), { ...ANY, ...limits }).fault
    expect(
      faultOf([
        [key('b'), ''],
        [key('a'), ''],
      ]),
    ).toBe('keys are out of order')
    expect(
      faultOf([
        [key('a'), ''],
        [key('a'), ''],
      ]),
    ).toBe('keys are out of order')
    expect(
      faultOf([
        [key('a', 2), ''],
        [key('a', 1), ''],
      ]),
    ).toBeNull()
    expect(
      faultOf([
        [key('a', 1), ''],
        [key('a', 2), ''],
      ]),
    ).toBe('keys are out of order')
    expect(faultOf([[Buffer.from('short'), '']])).toBe('a key is damaged')
    const ofOtherType = key('a')
    ofOtherType[1] = 2
    expect(faultOf([[ofOtherType, '']])).toBe('a key is damaged')
    expect(faultOf([[key('b'), '']], { after: key('b') })).toBe('a key is damaged')
    expect(faultOf([[key('b'), '']], { after: key('a'), through: key('b') })).toBeNull()
    expect(faultOf([[key('c'), '']], { through: key('b') })).toBe('a key is damaged')
    expect(faultOf([[key('a', 9), '']], { sequenceMax: 8 })).toBe('a key is damaged')
    expect(faultOf([])).toBe('it is empty')
    expect(checkBlock(Buffer.alloc(0), ANY).fault).toBe('its restarts do not fit')
    expect(checkBlock(Buffer.alloc(40), ANY).fault).not.toBeNull()
  })

  it('is at fault for a restart that is not at an entry whose key stands whole', () => {
    const pairs = Array.from({ length: 40 }, (_, i) => [key(`key-${1000 + i}`), 'value'] as const)
    const block = blockOf(pairs)
    const { entriesEnd } = new BlockCursor(block)
    for (const at of [0, 4, 8]) {
      const damaged = Buffer.from(block)
      damaged.writeUInt32LE(damaged.readUInt32LE(entriesEnd + at) + 1, entriesEnd + at)
      expect(checkBlock(damaged, ANY).fault).toBe('a restart is out of place')
    }
  })

  it('is at fault for a restart at an entry that shares its key: a search stops there', () => {
    const block = blockOf([
      [key('aa'), ''],
      [key('ab'), ''],
    ])
    const { entriesEnd } = new BlockCursor(block)
    const second = 3 + key('aa').length
    const word = (value: number) => Buffer.from([value, 0, 0, 0])
    const damaged = Buffer.concat([block.subarray(0, entriesEnd), word(0), word(second), word(2)])
    expect(entriesOf(damaged)).toEqual(['aa=', 'ab='])
    expect(checkBlock(damaged, ANY).fault).toBe('a restart is not at a whole key')
  })

  it('of any bytes is read to an end, within its bytes', () => {
    const random = seededRandom(testSeed())
    for (let i = 0; i < 3000; i++) {
      const bytes = Buffer.from(Array.from({ length: random.between(0, 80) }, () => random.between(0, 255)))
      // few restarts, so that the entries are looked at
      if (bytes.length >= 8) bytes.writeUInt32LE(random.between(0, 3), bytes.length - 4)
      entriesOf(bytes)
      checkBlock(bytes, ANY)
    }
  })

  it('does not believe lengths that add up to less than they are', () => {
    // 2^32 - 1 and 2: their sum as 32 bits is 1, which LevelDB takes
    const entry = Buffer.from('00ffffffff0f02', 'hex')
    const block = Buffer.concat([entry, Buffer.alloc(40, 1), Buffer.from('0000000001000000', 'hex')])
    const cursor = new BlockCursor(block)
    expect(cursor.next()).toBe(false)
    expect(cursor.fault).toBe('an entry is longer than the block')
  })
})
