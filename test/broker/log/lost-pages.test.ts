/**
 * Pages of the active segment's write-ahead file that are gone. What stood at the end of the file was taken for a write that was cut short,
 * which nobody was told had succeeded: the log began anew below what it had acknowledged, and gave those offsets to other records.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { withBrokenPages } from '../storage/level-files/broken-pages.ts'
import { append, openLog, RecordingSink, readAll, temporaryDirectory } from './support.ts'

const PAGE_BYTES = 4096

/** A closed log with all of it in one write-ahead file; `partitionOf` says where the nth record goes. */
async function written(count: number, partitionOf: (n: number) => number, valueBytes = 60) {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path, writeBufferBytes: 1e6 })
  for (let n = 0; n < count; n++) await append(log, partitionOf(n), [`value ${n}`.padEnd(valueBytes, '.')])
  const records = [await readAll(log, 0), await readAll(log, 1)]
  await log.close()
  const directory = join(path, 'log', 'main', '00000001')
  const file = join(directory, readdirSync(directory).find((name) => name.endsWith('.log'))!)
  return { path, file, records, bytes: readFileSync(file) }
}

describe('a log whose write-ahead file has lost', () => {
  it.each(['its last page', 'the page before its last', 'its first page'])(
    '%s gives no offset twice, and names the hole',
    async (which) => {
      const { path, file, records, bytes } = await written(100, () => 0)
      const last = bytes.length - (bytes.length % PAGE_BYTES)
      const at = {
        'its last page': last,
        'the page before its last': last - PAGE_BYTES,
        'its first page': 0,
      }[which]!
      // LevelDB reads the file past the disk of this test: it gets zeros
      bytes.fill(0, at, Math.min(at + PAGE_BYTES, bytes.length))
      writeFileSync(file, bytes)
      const sink = new RecordingSink()
      const log = await openLog(withBrokenPages(nodeDisk, basename(file), [at]), { path, sink })
      expect(sink.matching('a segment is damaged')[0]?.fields.kinds).toMatch(/unreadable/)
      const left = await readAll(log, 0)
      expect(records[0]).toEqual(expect.arrayContaining(left))
      expect(left.length).toBeGreaterThan(40)
      const next = log.partitions()[0]!.durableOffset
      expect(next).toBeGreaterThanOrEqual(100)
      await append(log, 0, ['goes on'])
      expect((await readAll(log, 0)).at(-1)).toBe(`${next}:goes on`)
      const known = new Set(left.map((record) => Number.parseInt(record, 10)))
      for (const { from, to } of log.lostOffsets('events', 0)) for (let n = from; n < to; n++) known.add(n)
      for (let n = 0; n < next; n++) expect(known.has(n), `offset ${n} is there or lost`).toBe(true)
    },
  )

  it('a whole block in its middle gives no offset twice to a partition that wrote there last', async () => {
    const BLOCK_BYTES = 32 * 1024
    // some of the records of the second block, and none of another, are of the other partition
    const { path, file, records, bytes } = await written(60, (n) => (n > 16 && n < 26 ? 1 : 0), 1100)
    const wrote = bytes.indexOf('value 17.')
    expect([wrote > BLOCK_BYTES, bytes.indexOf('value 25.') < 2 * BLOCK_BYTES - 2400]).toEqual([true, true])
    bytes.fill(0, BLOCK_BYTES, 2 * BLOCK_BYTES)
    writeFileSync(file, bytes)
    const log = await openLog(nodeDisk, { path })
    const next = log.partitions()[1]!.durableOffset
    expect(next).toBeGreaterThanOrEqual(records[1]!.length)
    await append(log, 1, ['goes on'])
    expect(await readAll(log, 1)).toEqual([`${next}:goes on`])
    expect(log.lostOffsets('events', 1)).toMatchObject([{ from: 0, to: next }])
    expect((await log.verify()).problems).toEqual([])
  })
})
