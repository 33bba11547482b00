/** A cursor reads sealed segments, and what is in tables of the active one, from their files: what happens to those beside it. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BatchMemory, StoredBatch } from '../../../broker/log/source.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { append, drain, openLog, recordsOf, temporaryDirectory } from './support.ts'

const COMMITS = 60

/** Counts what is read through LevelDB. */
function countingDisk() {
  const counts = { ranges: 0 }
  const disk: Disk = {
    ...nodeDisk,
    async openStore(directory, options) {
      const store = await nodeDisk.openStore(directory, options)
      const range = store.range.bind(store)
      return Object.assign(store, {
        range: (asked: Parameters<typeof range>[0]) => {
          counts.ranges++
          return range(asked)
        },
      })
    },
  }
  return { disk, counts }
}

/** Much more in all than is read at one go. */
const value = (i: number) => `${i}`.padEnd(20_000, '.')
const expected = (from = 0, to = COMMITS) =>
  Array.from({ length: to - from }, (_, i) => `${from + i}:${value(from + i)}`)

/** One sealed segment of all commits. */
async function sealed(disk: Disk = nodeDisk) {
  const path = temporaryDirectory()
  const log = await openLog(disk, { path })
  for (let i = 0; i < COMMITS; i++) await append(log, 0, [value(i)])
  const { chain } = log.stream('events')
  const [segment] = chain.segments
  await chain.seal()
  return { log, chain, segment: segment!, directory: join(path, 'log', chain.name, segment!.id) }
}

describe('a cursor in a sealed segment', () => {
  it('does not ask LevelDB for its batches, and stands where it stood at the next read', async () => {
    const { disk, counts } = countingDisk()
    const { log } = await sealed(disk)
    counts.ranges = 0
    const cursor = log.openCursor(new Map())
    const found: string[] = []
    while (found.length < COMMITS) found.push(...recordsOf(await cursor.next(1)))
    expect(counts.ranges).toBe(0)
    expect(found).toEqual(expected())
    expect(await cursor.next(1)).toEqual([])
    await cursor.close()
  })

  it('puts what it brings into the memory that it was given', async () => {
    const { log } = await sealed()
    const given = new Set<Buffer>()
    const memory: BatchMemory = {
      copy(bytes) {
        const copied = Buffer.from(bytes)
        given.add(copied)
        return copied
      },
      release: (bytes) => void given.delete(bytes),
    }
    const cursor = log.openCursor(new Map([['events/0', 10]]), memory)
    const batches: StoredBatch[] = []
    for (let read = await cursor.next(2000); read.length > 0; read = await cursor.next(2000))
      batches.push(...read)
    expect(batches).toHaveLength(COMMITS - 10)
    // what it was not asked for is not copied
    expect(new Set(batches.map(({ bytes }) => bytes))).toEqual(given)
    await cursor.close()
  })

  it('keeps nobody from removing it, and goes on behind it', async () => {
    const { log, chain, segment, directory } = await sealed()
    const cursor = log.openCursor(new Map())
    const first = recordsOf(await cursor.next(50_000))
    expect(first).toEqual(expected(0, first.length))
    await append(log, 0, ['later'])
    expect(await chain.rearrange({ remove: [segment] })).toBe(true)
    await expect.poll(() => existsSync(directory), { timeout: 10_000 }).toBe(false)
    expect((await drain(cursor)).get('events/0')).toEqual([`${COMMITS}:later`])
    await cursor.close()
  })

  it('brings each record that is left once, where it is damaged under it', async () => {
    const { log, chain, segment, directory } = await sealed()
    const cursor = log.openCursor(new Map())
    const found = recordsOf(await cursor.next(1))
    const tables = readdirSync(directory).filter((name) => name.endsWith('.ldb'))
    const table = join(directory, tables[tables.length >> 1]!)
    const bytes = readFileSync(table)
    // over the ends of two batches
    bytes.fill(0, 30_000, 50_000)
    writeFileSync(table, bytes)
    found.push(...((await drain(cursor, 1)).get('events/0') ?? []))
    const offsets = found.map((record) => Number.parseInt(record, 10))
    expect(new Set(offsets).size).toBe(found.length)
    expect(expected()).toEqual(expect.arrayContaining(found))
    expect(found.length).toBeGreaterThan(COMMITS / 3)
    expect(found.length).toBeLessThan(COMMITS)
    expect(chain.segments).not.toContain(segment)
    await cursor.close()
  })

  it('is ended by the end of the log', async () => {
    const { log } = await sealed()
    const cursor = log.openCursor(new Map())
    await cursor.next(1)
    await log.close()
    await expect(cursor.next(1)).rejects.toThrow(/clos/)
    await cursor.close()
  })
})

describe('a cursor far behind in the active segment', () => {
  it('reads its tables from their files and the rest through LevelDB, while it grows and is sealed', async () => {
    const { disk, counts } = countingDisk()
    const log = await openLog(disk, { path: temporaryDirectory(), segmentBytes: 64 * 1024 * 1024 })
    const chunk = (i: number) => `${i}`.padEnd(250_000, '.')
    let written = 0
    const write = async () => append(log, 0, [chunk(written++)])
    while (written < 100) await write()
    const { chain } = log.stream('events')
    const cursor = log.openCursor(new Map())
    const found: string[] = []
    counts.ranges = 0
    while (found.length < 30) found.push(...recordsOf(await cursor.next(1)))
    expect(counts.ranges).toBe(0)
    for (let i = 0; i < 20; i++) await write()
    while (found.length < 50) found.push(...recordsOf(await cursor.next(1)))
    await chain.seal()
    await write()
    found.push(...((await drain(cursor, 1)).get('events/0') ?? []))
    expect(found.map((record) => Number.parseInt(record, 10))).toEqual([...Array(written).keys()])
    await cursor.close()
  }, 60_000)

  it('leaves to LevelDB what its files do not say', async () => {
    const { disk, counts } = countingDisk()
    const path = temporaryDirectory()
    let isBroken = false
    const broken: Disk = {
      ...disk,
      openFile: async (file) => (isBroken && file.endsWith('.ldb') ? undefined : disk.openFile(file)),
    }
    const log = await openLog(broken, { path, segmentBytes: 64 * 1024 * 1024 })
    for (let i = 0; i < 80; i++) await append(log, 0, [`${i}`.padEnd(250_000, '.')])
    counts.ranges = 0
    isBroken = true
    const found = (await drain(log.openCursor(new Map()), 1_000_000)).get('events/0') ?? []
    expect(found.map((record) => Number.parseInt(record, 10))).toEqual([...Array(80).keys()])
    expect(counts.ranges).toBeGreaterThan(0)
  }, 60_000)
})
