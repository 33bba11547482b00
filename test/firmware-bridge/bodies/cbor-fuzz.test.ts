/** Bytes of any kind, and good bodies with damage: each is an object or malformed, in the time that its length takes, and never an exception. */
import { Encoder } from 'cbor-x'
import { describe, expect, it } from 'vitest'
import { CborBody } from '../../../firmware-bridge/bodies/cbor-body.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'

const LIMIT_MS = 1500
const ROUNDS_MAX = 100_000
const encoder = new Encoder({ useRecords: false, mapsAsObjects: false })
const body = new CborBody({
  schema: { 1: { name: 'a', scale: 0.1, type: 'any' }, 2: { name: 'b', type: 'any' } },
  time: 'key',
  timeKey: 0,
  unknownKeys: 'keep',
  withUnits: true,
})

function someValue(random: Random, depth: number): unknown {
  const kind = random.between(0, depth > 3 ? 6 : 8)
  switch (kind) {
    case 0:
      return random.between(-70_000, 70_000)
    case 1:
      return random.next() * 1e9
    case 2:
      return 'äx'.repeat(random.between(0, 20))
    case 3:
      return Buffer.alloc(random.between(0, 30), 7)
    case 4:
      return random.next() < 0.5
    case 5:
      return null
    case 6:
      return BigInt(random.between(0, 1e9)) ** 2n
    case 7:
      return Array.from({ length: random.between(0, 5) }, () => someValue(random, depth + 1))
    default:
      return someMap(random, depth + 1)
  }
}

function someMap(random: Random, depth = 0): Map<unknown, unknown> {
  return new Map(
    Array.from({ length: random.between(0, 6) }, () => [
      random.next() < 0.9 ? random.between(-3, 300) : 'text',
      someValue(random, depth),
    ]),
  )
}

function damaged(bytes: Buffer, random: Random): Buffer {
  const hit = Buffer.from(bytes)
  for (let i = random.between(0, 3); i > 0 && hit.length > 0; i--) {
    hit[random.between(0, hit.length - 1)] = random.between(0, 255)
  }
  return random.next() < 0.3 ? hit.subarray(0, random.between(0, hit.length)) : hit
}

function rounds(make: () => Uint8Array): { objects: number; malformed: number } {
  const tally = { objects: 0, malformed: 0 }
  const end = performance.now() + LIMIT_MS
  for (let round = 0; round < ROUNDS_MAX && performance.now() < end; round++) {
    const bytes = make()
    const result = body.decode(bytes)
    if (result.kind === 'malformed') tally.malformed++
    else {
      tally.objects++
      const found = JSON.parse(result.json)
      expect(typeof found).toBe('object')
      expect(result.json.length).toBeLessThan(bytes.length * 30 + 200)
    }
  }
  return tally
}

describe(`bodies of CBOR, seed ${testSeed()}`, () => {
  it('that are good are read', () => {
    const random = seededRandom(testSeed())
    const { objects } = rounds(() => {
      const map = someMap(random)
      map.delete(0)
      // names that meet are malformed
      map.delete('text')
      return encoder.encode(map)
    })
    expect(objects).toBeGreaterThan(100)
  })

  it('that are damaged do no harm', () => {
    const random = seededRandom(testSeed())
    const { malformed } = rounds(() => damaged(encoder.encode(someMap(random)), random))
    expect(malformed).toBeGreaterThan(100)
  })

  it('that are bytes of any kind behind a map’s first do no harm', () => {
    const random = seededRandom(testSeed())
    const { malformed } = rounds(() => {
      const bytes = Uint8Array.from({ length: random.between(1, 128) }, () => random.between(0, 255))
      bytes[0] = random.next() < 0.5 ? 0xbf : 0xa0 + random.between(0, 31)
      return bytes
    })
    expect(malformed).toBeGreaterThan(100)
  })
})
