import { describe, expect, it } from 'vitest'
import {
  DATA_FORMAT,
  decodeIdentity,
  encodeIdentity,
  type Identity,
  isSameIdentity,
} from '../../../broker/storage/identity.ts'

const IDENTITY: Identity = {
  format: DATA_FORMAT,
  edge: 'line-7',
  incarnation: '0b7c2c52-0d4a-4c1c-9d0e-3a8f6f3f2b11',
  createdAt: '2026-03-01T00:00:00.000Z',
}

describe('a stored identity', () => {
  it('comes back as it was, with fields that this version does not know', () => {
    const known = { ...IDENTITY, later: { a: [1] } }
    expect(decodeIdentity(encodeIdentity(known))).toEqual({ kind: 'whole', identity: known, hasCrc: true })
  })

  it('of before there was a checksum is read', () => {
    const bytes = Buffer.from(JSON.stringify(IDENTITY))
    expect(decodeIdentity(bytes)).toEqual({ kind: 'whole', identity: IDENTITY, hasCrc: false })
  })

  it('with any bit flipped, or cut short anywhere, is never another one nor a newer format', () => {
    const bytes = encodeIdentity(IDENTITY)
    const found = new Set<string>()
    const judge = (damaged: Buffer) => {
      const stored = decodeIdentity(damaged)
      found.add(stored.kind)
      if (stored.kind === 'whole') expect(stored.identity).toMatchObject({ ...IDENTITY })
      expect(stored.kind).not.toBe('newer')
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      judge(damaged)
    }
    for (let length = 0; length < bytes.length; length++) judge(bytes.subarray(0, length))
    // a flip in white space or in the word crc leaves it whole
    expect([...found].toSorted()).toEqual(['damaged', 'whole'])
  })

  it('of a newer format is known as one, with the checksum that it keeps or without', () => {
    const newer = { ...IDENTITY, format: DATA_FORMAT + 1 }
    expect(decodeIdentity(encodeIdentity(newer))).toEqual({ kind: 'newer', format: DATA_FORMAT + 1 })
    expect(decodeIdentity(Buffer.from(JSON.stringify(newer))).kind).toBe('newer')
  })

  it.each([
    '',
    '{',
    'null',
    '[]',
    '"x"',
    '{"format":1}',
    '{"format":1,"edge":5,"incarnation":"x","createdAt":""}',
    '{"format":0,"edge":"a","incarnation":"x","createdAt":""}',
    '{"format":1,"edge":"a","incarnation":"","createdAt":""}',
    '{"format":1.5,"edge":"a","incarnation":"x","createdAt":""}',
  ])('that is %j is damaged', (text) => {
    expect(decodeIdentity(Buffer.from(text)).kind).toBe('damaged')
  })

  it('is the same as another where all fields are', () => {
    expect(isSameIdentity(IDENTITY, { ...IDENTITY })).toBe(true)
    expect(isSameIdentity(IDENTITY, { ...IDENTITY, incarnation: 'x' })).toBe(false)
  })
})
