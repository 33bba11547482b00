import { decode } from 'cbor-x'
import { describe, expect, it } from 'vitest'
import { decodeNote, encodeNote, type Note } from '../../../broker/log/note.ts'

const NOTE: Note = {
  states: { qos2: [[0, 'client', 7, 0xffffffff]] },
  head: {
    next: [
      [0, 5],
      [4294967294, 2 ** 52],
    ],
    states: { qos2: [['client', false, [[7, 1]]]] },
  },
}

describe('a note', () => {
  it('round-trips states and head, offsets beyond 32 bits included', () => {
    expect(decodeNote(encodeNote(NOTE))).toEqual(NOTE)
    expect(decodeNote(encodeNote({ states: {} }))).toEqual({ states: {} })
  })

  it('is plain CBOR after four bytes of CRC, readable by any decoder', () => {
    expect(decode(encodeNote(NOTE).subarray(4))).toEqual(NOTE)
  })

  it('with any byte changed, or cut anywhere, is said to be faulty', () => {
    const value = encodeNote(NOTE)
    for (let at = 0; at < value.length; at++) {
      value[at]! ^= 0x10
      expect(typeof decodeNote(value), `byte ${at}`).toBe('string')
      value[at]! ^= 0x10
    }
    for (let length = 0; length < value.length; length++) {
      expect(typeof decodeNote(value.subarray(0, length)), `cut at ${length}`).toBe('string')
    }
    expect(decodeNote(value)).toEqual(NOTE)
  })
})
