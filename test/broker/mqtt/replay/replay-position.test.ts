import { expect, it } from 'vitest'
import { decodePosition, encodePosition } from '../../../../broker/mqtt/replay/replay-position.ts'

it('a position is what it was written as', () => {
  for (const position of [
    { next: null, unacked: [] },
    { next: new Map([[0, 0]]), unacked: [] },
    {
      next: new Map([
        [0, 2 ** 45],
        [7, 12],
      ]),
      unacked: [
        { partition: 7, offset: 11, packetId: 65_535 },
        { partition: 0, offset: 2 ** 45 - 1, packetId: 1 },
      ],
    },
  ]) {
    expect(decodePosition(encodePosition(position))).toEqual(position)
  }
})

it('a position in bytes', () => {
  const position = { next: new Map([[1, 300]]), unacked: [{ partition: 1, offset: 299, packetId: 5 }] }
  expect(encodePosition(position).toString('hex')).toBe('0202d8040202d6040a')
})

it('a position that is cut off is not taken for another', () => {
  const position = { next: new Map([[1, 300]]), unacked: [{ partition: 1, offset: 299, packetId: 5 }] }
  const bytes = encodePosition(position)
  for (let length = 0; length < bytes.length; length++) {
    let decoded: unknown = null
    try {
      decoded = decodePosition(bytes.subarray(0, length))
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
    }
    expect(decoded).toBe(null)
  }
})
