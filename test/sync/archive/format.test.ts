import { expect, it } from 'vitest'
import { decodeEntry, decodeFileHead, encodeEntryHead, encodeFileHead } from '../../../sync/archive/format.ts'
import { MemoryLog } from '../memory-log.ts'

const ABOUT = { edge: 'edge-a', incarnation: 'i', archive: 'a' }
const STREAM_BYTES_MAX = 1024

async function batch(): Promise<Buffer> {
  const log = new MemoryLog().addStream('events', 1)
  log.append('events', 0, [{ value: 'a' }, { value: 'b' }])
  const [stored] = await log.read('events', 0, 0, 10_000)
  return stored!.bytes
}

async function entryOf(stream: string): Promise<Buffer> {
  const bytes = await batch()
  return Buffer.concat([encodeEntryHead(stream, 7, bytes), bytes])
}

it("a file's head and an entry come back as they were written, and say how much is missing at each byte before", async () => {
  const head = encodeFileHead(ABOUT)
  expect(decodeFileHead(head)).toEqual({ value: ABOUT, bytes: head.length })
  for (let at = 0; at < head.length; at++)
    expect(decodeFileHead(head.subarray(0, at))).toHaveProperty('needs')
  const entry = await entryOf('ab')
  expect(decodeEntry(entry)).toMatchObject({
    value: { stream: 'ab', partition: 7, baseOffset: 0, nextOffset: 2, bytes: await batch() },
    bytes: entry.length,
  })
  for (let at = 0; at < entry.length; at++) expect(decodeEntry(entry.subarray(0, at))).toHaveProperty('needs')
})

it('any bit of an entry that is turned over is noticed', async () => {
  const entry = await entryOf('ab')
  for (let at = 0; at < entry.length * 8; at++) {
    const damaged = Buffer.from(entry)
    damaged[at >> 3]! ^= 1 << (at & 7)
    expect(decodeEntry(damaged), `bit ${at}`).not.toHaveProperty('value')
  }
})

it("a stream's name is within its limit when it is written and when it is read", async () => {
  const longest = 'x'.repeat(STREAM_BYTES_MAX)
  expect(decodeEntry(await entryOf(longest))).toMatchObject({ value: { stream: longest } })
  await expect(entryOf(`${longest}x`)).rejects.toThrow('no longer than')
  const entry = await entryOf(longest)
  entry.writeUInt16BE(STREAM_BYTES_MAX + 1, 12)
  expect(decodeEntry(entry)).toEqual({ fault: "a stream's name would be 1025 bytes" })
})
