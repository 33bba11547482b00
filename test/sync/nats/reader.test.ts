import { expect, it } from 'vitest'
import { crc32c, recordCountOf } from '../../../broker/index.ts'
import { encodeHead, type MessageHead } from '../../../sync/nats/format.ts'
import { decodeMessage } from '../../../sync/nats/reader.ts'
import { MemoryLog } from '../memory-log.ts'

const log = new MemoryLog().addStream('events', 1)
const first = log.append('events', 0, [{ value: 'a' }, { value: 'b' }]).bytes
const second = log.append('events', 0, [{ value: 'c' }]).bytes
const HEAD: MessageHead = {
  origin: { edge: 'e', incarnation: 'i', stream: 'events', partition: 0 },
  from: 0,
  next: 3,
  proof: null,
  instance: 'p',
}

function decode(payload: Buffer, changes: Partial<MessageHead> = {}, drop = '') {
  const headers = new Map(encodeHead({ ...HEAD, ...changes }).filter(([name]) => name !== drop))
  const header = (name: string) => headers.get(name) ?? null
  return decodeMessage({ seq: 7, subject: 'hw.e.events.0', header, payload })
}

it('splits a payload into its batches, also one that is a view of something larger', () => {
  const { seq, head, batches } = decode(Buffer.concat([first, second]))
  expect({ seq, head }).toEqual({ seq: 7, head: HEAD })
  expect(batches).toEqual([
    { stream: 'events', partition: 0, baseOffset: 0, nextOffset: 2, bytes: first },
    { stream: 'events', partition: 0, baseOffset: 2, nextOffset: 3, bytes: second },
  ])
  const view = Buffer.concat([Buffer.alloc(99, 1), first, Buffer.alloc(9)]).subarray(99, 99 + first.length)
  expect(decode(view).batches.map(({ bytes }) => recordCountOf(bytes))).toEqual([2])
})

it('refuses what is damaged, cut short, out of order, or not what its headers say', () => {
  const flipped = Buffer.from(first)
  flipped[first.length - 3]! ^= 1
  expect(() => decode(flipped)).toThrow(/message 7 of hw.e.events.0: .*CRC/)
  for (const end of [1, 11, 12, 60, first.length - 1]) {
    expect(() => decode(first.subarray(0, end)), String(end)).toThrow(/message 7/)
  }
  expect(() => decode(Buffer.concat([second, first]))).toThrow(/offset 0 where 3 or more/)
  expect(() => decode(Buffer.concat([first, first]))).toThrow(/offset 0 where 2 or more/)
  expect(() => decode(first, { from: 1 })).toThrow(/offset 0 where 1 or more/)
  expect(() => decode(Buffer.concat([first, second]), { next: 2 })).toThrow(
    /records up to 3, and a position of 2/,
  )
  expect(() => decode(first, {}, 'Hw-Format')).toThrow(/headers that Headwater did not write/)
  const wide = Buffer.from(first)
  wide.writeInt32BE(1 << 30, 8)
  wide.writeUInt32BE(crc32c(wide.subarray(21)), 17)
  expect(() => decode(wide)).toThrow(/message 7/)
})
