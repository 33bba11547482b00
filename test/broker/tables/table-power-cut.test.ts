/**
 * The power is cut at every change of the disk in turn, while a table is made, written, built again and removed. Afterwards it is the
 * fold of the log without a person's help, and it was never found damaged.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { TornDisk } from '../../support/torn-disk.ts'
import { openLog, temporaryDirectory } from '../log/support.ts'
import { change, collected, entriesOf, openTables, STREAM, shown } from './support.ts'

const ROUNDS = 8

/** A life with all kinds of writes; ends early when the power is cut. */
async function live(disk: FaultyDisk): Promise<void> {
  const log = await openLog(disk, { segmentBytes: 600 })
  const tables = openTables(disk, log, { limits: { pendingMsMax: 0, waitMsMax: 500 } })
  try {
    for (let round = 0; round < ROUNDS && !disk.isOff; round++) {
      await change(log, [
        [`key ${round % 3}`, `round ${round}`],
        [`key ${round}`, round % 4 === 3 ? null : 'x'.repeat(40)],
      ])
      if (round === 5) tables.rebuild(STREAM, 'asked for')
      await Promise.race([collected(tables.scan(STREAM)), disk.whenCut])
    }
  } catch {
    // the end of this life
  }
  await Promise.all([tables.close(), log.close()])
}

/** What a map over all that was written says; the log is not compacted. */
async function foldOf(tables: ReturnType<typeof openTables>, partitions: number): Promise<string[]> {
  const fold = new Map<string, string>()
  const from = new Map(Array.from({ length: partitions }, (_, partition) => [partition, 0] as const))
  const request = { from, follow: false, signal: new AbortController().signal }
  for await (const page of tables.changes(STREAM, request)) {
    for (const { key, value } of entriesOf(page)) {
      if (value === null) fold.delete(key.toString())
      else fold.set(key.toString(), value.toString())
    }
  }
  return [...fold].map(([key, value]) => `${key}=${value}`).sort()
}

async function cutEverywhere(kept: (unsynced: number) => number): Promise<number> {
  for (let cutAt = 1; ; cutAt++) {
    const below = new MemoryDisk()
    const crash = below.crash.bind(below)
    below.crash = () => crash(kept)
    const disk = new FaultyDisk(below)
    disk.cutPowerAt(cutAt)
    await live(disk).catch(() => undefined)
    const wasCut = disk.isOff
    await disk.bury()

    const log = await openLog(below)
    const tables = openTables(below, log)
    const note = `cut at change ${cutAt}`
    expect(shown(await collected(tables.scan(STREAM))), note).toEqual(await foldOf(tables, 2))
    expect((await tables.verify())[0], note).toMatchObject({ isWhole: true })
    expect(tables.status()[0], note).toMatchObject({ rebuilds: 0, state: 'current' })
    await tables.close()
    await log.close()
    if (!wasCut) return cutAt - 1
  }
}

describe('a power cut', () => {
  it('leaves a table that goes on, at any change of the disk', async () => {
    expect(await cutEverywhere(() => 0)).toBeGreaterThan(40)
  })

  it('also when a part of what was not synced reached the disk', async () => {
    const random = seededRandom(testSeed())
    await cutEverywhere((unsynced) => random.between(0, unsynced))
  })
})

/** As `live`, on LevelDB; the cut is at a synced write. */
async function liveOnLevelDb(disk: TornDisk, path: string): Promise<void> {
  const log = await openLog(disk, { path, segmentBytes: 2000 })
  const tables = openTables(disk, log, { data: path, limits: { pendingMsMax: 0, waitMsMax: 500 } })
  try {
    for (let round = 0; round < ROUNDS && !disk.isOff; round++) {
      await change(log, [
        [`key ${round % 3}`, `round ${round}`],
        [`key ${round}`, round % 4 === 3 ? null : 'x'.repeat(400)],
      ])
      await Promise.race([collected(tables.scan(STREAM)), disk.whenCut])
    }
  } catch {
    // the end of this life
  }
  await Promise.all([tables.close(), log.close()])
}

describe('a power cut that tears what LevelDB was writing', () => {
  it('leaves a table that goes on, however it tears', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let life = 0; life < 25; life++) {
      const path = temporaryDirectory()
      const disk = new TornDisk()
      disk.cutAt(random.between(3, 25))
      await liveOnLevelDb(disk, path).catch(() => undefined)
      await disk.bury()
      const torn = disk.tear(random)
      const log = await openLog(nodeDisk, { path })
      const tables = openTables(nodeDisk, log, { data: path })
      const note = `seed ${seed}, life ${life}: ${JSON.stringify(torn)}`
      expect(shown(await collected(tables.scan(STREAM))), note).toEqual(await foldOf(tables, 2))
      expect((await tables.verify())[0], note).toMatchObject({ isWhole: true })
      await tables.close()
      await log.close()
    }
  })
})

describe('why every batch of a table is synced', () => {
  it('LevelDB passes over a hole in its write-ahead file and brings what stands behind it', async () => {
    const directory = join(temporaryDirectory(), 'store')
    const options = { writeBufferBytes: 1e7, createIfMissing: true }
    const store = await nodeDisk.openStore(directory, options)
    for (let i = 0; i < 40; i++) {
      const batch = store.batch()
      batch.put(Buffer.from(`change ${String(i).padStart(2, '0')}`), Buffer.alloc(5000, i + 1))
      batch.put(Buffer.from('position'), Buffer.from(String(i)))
      await batch.write({ sync: false })
    }
    await store.close()
    // a page that had not reached the disk when the power went, before others that had
    const [file] = readdirSync(directory).filter((name) => name.endsWith('.log'))
    const bytes = readFileSync(join(directory, file!))
    bytes.fill(0, 65_536, 98_304)
    writeFileSync(join(directory, file!), bytes)
    const opened = await nodeDisk.openStore(directory, options)
    const entries = await opened.range({ from: Buffer.from('change'), to: Buffer.from('d'), bytesMax: 1e9 })
    const position = await opened.get(Buffer.from('position'))
    await opened.close()
    rmSync(directory, { recursive: true })
    expect(entries.length).toBeLessThan(40)
    expect(position?.toString()).toBe('39')
  })

  it('and every one is', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    await live(disk)
    const writes = disk.trace.filter(({ path }) => path.startsWith('/data/tables/'))
    expect(writes.filter(({ kind }) => kind === 'sync').length).toBeGreaterThan(5)
    expect(writes.filter(({ kind }) => kind === 'write')).toEqual([])
  })
})
