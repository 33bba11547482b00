/** Passing over a whole segment: the same from its files and through its store, while others open, hold, close and drop it. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { NoRoomError } from '../../../broker/errors.ts'
import type { Chain } from '../../../broker/log/chain.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import type { Segment } from '../../../broker/log/segment.ts'
import { scanSegment } from '../../../broker/log/segment-scan.ts'
import type { EntryScan } from '../../../broker/storage/entry-scan.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, MEMORY_PATH, openLog, readAll, temporaryDirectory } from './support.ts'

const COMMITS = 40

/** A log whose first segment is sealed, with all of its records still in the write-ahead file. */
async function sealed(disk: Disk = nodeDisk, path = temporaryDirectory()) {
  const log = await openLog(disk, { path })
  for (let i = 0; i < COMMITS; i++) await append(log, i % 2, [`value ${i}`.padEnd(300, '.')])
  const { chain } = log.stream('events')
  const [segment] = chain.segments
  const directory = join(path, 'log', chain.name, segment!.id)
  return { log, chain, segment: segment!, directory }
}

/** A disk on which stores cannot be opened once it is full. */
function fullDisk() {
  const state = { isFull: false, refused: 0 }
  const refuse = (directory: string): void => {
    if (!state.isFull) return
    state.refused++
    throw new NoRoomError(directory, 'No space left on device', 'free some space on this disk')
  }
  const disk: Disk = {
    ...nodeDisk,
    async openStore(directory, options) {
      refuse(directory)
      return nodeDisk.openStore(directory, options)
    },
    async settleStore(directory, options) {
      refuse(directory)
      return nodeDisk.settleStore(directory, options)
    },
  }
  return { path: temporaryDirectory(), disk, state }
}

async function entries(scan: EntryScan): Promise<string[]> {
  const found: string[] = []
  const visit = (key: Buffer, value: Buffer) =>
    void found.push(`${key.toString('hex')} ${value.toString('hex')}`)
  while ((await scan.next(2000, visit)) > 0) await turn()
  return found
}

const scanned = (chain: Chain, segment: Segment) => scanSegment(chain, segment, entries)

/** The names of tables and of write-ahead files that hold something. */
function levelFiles(directory: string): { tables: string[]; logs: string[] } {
  const names = readdirSync(directory)
  return {
    tables: names.filter((name) => name.endsWith('.ldb')),
    logs: names.filter((name) => name.endsWith('.log') && readFileSync(join(directory, name)).length > 0),
  }
}

async function expectAll(found: readonly string[] | null, log: EventLog): Promise<void> {
  // a batch a commit, the head, and the catalog's note
  expect(found).toHaveLength(COMMITS + 2)
  expect([...(await readAll(log, 0)), ...(await readAll(log, 1))]).toHaveLength(COMMITS)
}

describe('a scan of a segment', () => {
  it('brings the same on a disk without LevelDB’s files', async () => {
    const real = await sealed()
    await real.chain.seal()
    const memory = await sealed(new MemoryDisk(), MEMORY_PATH)
    await memory.chain.seal()
    const found = await scanned(real.chain, real.segment)
    expect(await scanned(memory.chain, memory.segment)).toEqual(found)
    await expectAll(found, real.log)
  })

  it('lets LevelDB make a table of what was never opened since it was written', async () => {
    const { log, chain, segment, directory } = await sealed()
    await chain.seal()
    expect(levelFiles(directory).logs).toHaveLength(1)
    await chain.cache.scan(segment, { from: Buffer.of(0), to: Buffer.of(0) }, async () => {})
    expect(levelFiles(directory).logs).toEqual([])
    const found = await scanned(chain, segment)
    // nobody has it open for that
    expect(chain.cache.isOpen(segment)).toBe(false)
    await expectAll(found, log)
  })

  it('goes through the store while readers hold the one that was written', async () => {
    const { log, chain, segment, directory } = await sealed()
    let found: string[] | null = null
    await chain.cache.use(segment, async () => {
      await chain.seal()
      expect(levelFiles(directory).logs).toHaveLength(1)
      found = await scanned(chain, segment)
      expect(levelFiles(directory).logs).toHaveLength(1)
    })
    await expectAll(found, log)
  })

  it('reads the files of one that readers have open, and of one that they open and close meanwhile', async () => {
    const { log, chain, segment } = await sealed()
    await chain.seal()
    const expected = await scanned(chain, segment)
    await chain.cache.use(segment, async () => expect(await scanned(chain, segment)).toEqual(expected))
    const both = await scanSegment(chain, segment, async (scan) => {
      const found: string[] = []
      const visit = (key: Buffer, value: Buffer) =>
        void found.push(`${key.toString('hex')} ${value.toString('hex')}`)
      while ((await scan.next(1000, visit)) > 0) await readAll(log, found.length % 2)
      return found
    })
    expect(both).toEqual(expected)
    const many = await Promise.all([1, 2, 3].map(() => scanned(chain, segment)))
    expect(many).toEqual([expected, expected, expected])
    await expectAll(expected, log)
  })

  it('keeps the directory of a segment that is dropped until it has ended', async () => {
    const removed: string[] = []
    const disk: Disk = {
      ...nodeDisk,
      remove(path) {
        removed.push(path)
        return nodeDisk.remove(path)
      },
    }
    const { log, chain, segment, directory } = await sealed(disk)
    await chain.seal()
    await append(log, 0, ['later'])
    // a new directory is removed before it is made
    removed.splice(0)
    const isKept = await scanSegment(chain, segment, async (scan) => {
      await scan.next(1, () => {})
      expect(await chain.rearrange({ remove: [segment] })).toBe(true)
      for (let i = 0; i < 20; i++) await turn()
      return !removed.includes(directory)
    })
    expect(isKept).toBe(true)
    await expect.poll(() => existsSync(directory), { timeout: 10_000 }).toBe(false)
    expect(await scanned(chain, segment)).toBeNull()
  })

  it('that meets damage has the segment repaired, and brings nothing', async () => {
    const { log, chain, segment, directory } = await sealed()
    await chain.seal()
    const expected = await scanned(chain, segment)
    const table = levelFiles(directory).tables.at(-1)!
    const bytes = readFileSync(join(directory, table))
    // it was found fit before: the scan itself has to see it
    bytes.fill(0, 2000, 3000)
    writeFileSync(join(directory, table), bytes)
    expect(await scanned(chain, segment)).toBeNull()
    expect(chain.segments).not.toContain(segment)
    expect(log.status().recovery).toMatchObject({ salvagedSegments: 1 })
    const found = (await scanned(chain, chain.segments[0]!))!
    expect(found.length).toBeGreaterThan(20)
    expect(expected).toEqual(expect.arrayContaining(found))
  })

  it('goes on from the files alone while the disk has no room for LevelDB to open it', async () => {
    const { path, disk, state } = fullDisk()
    const { log, chain, segment, directory } = await sealed(disk, path)
    await chain.seal()
    await chain.cache.retire(segment)
    const { logs } = levelFiles(directory)
    expect(logs.length, 'it was never opened since it was written').toBeGreaterThan(0)
    state.isFull = true
    await expectAll(await scanned(chain, segment), log)
    expect((await log.verify()).problems).toEqual([])
    const cursor = log.openCursor(new Map())
    let records = 0
    for (let batches = await cursor.next(500); batches.length > 0; batches = await cursor.next(500))
      for (const { baseOffset, nextOffset } of batches) records += nextOffset - baseOffset
    expect(records, 'what upstream has to get before anything may go').toBe(COMMITS)
    expect(state.refused).toBeGreaterThan(0)
    expect(levelFiles(directory).logs, 'nothing was written').toEqual(logs)
    state.isFull = false
    await chain.cache.retire(segment)
    await expectAll(await scanned(chain, segment), log)
    expect(levelFiles(directory)).toMatchObject({ logs: [] })
  })
})
