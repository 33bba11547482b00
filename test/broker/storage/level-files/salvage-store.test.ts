import { ClassicLevel } from 'classic-level'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SalvageOptions, salvageStore } from '../../../../broker/storage/level-files/salvage-store.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { missing, salvage as salvageIn } from './salvaged.ts'
import {
  factSource,
  logKey,
  place,
  readFiles,
  removeTemporaryDirectories,
  type Source,
  temporaryDirectory,
} from './support.ts'
import { changed, nameOf, writeLog } from './written-log.ts'

let root: string
let log: Source
let table: string
beforeAll(async () => {
  ;({ root, log, table } = await writeLog())
})
afterAll(removeTemporaryDirectories)

const salvage = (files: ReadonlyMap<string, Buffer>, options: SalvageOptions = {}, disk: Disk = nodeDisk) =>
  salvageIn(root, files, options, disk)

describe('the salvage of a whole store', () => {
  it('brings every entry once, in the order of keys, and reports no loss', async () => {
    const salvaged = await salvage(log.files)
    expect(missing(log, salvaged)).toEqual([])
    expect(salvaged.report).toMatchObject({
      entries: 200,
      lost: [],
      blocksLost: 0,
      bytesLost: 0,
      hadManifest: true,
    })
  })

  it('brings the newest value of each key, and none of those that were deleted', async () => {
    const facts = await factSource(root, 'facts', seededRandom(2), 900)
    const { found } = await salvage(facts.files)
    expect(new Map(found)).toEqual(new Map([...facts.truth].toSorted(([a], [b]) => (a < b ? -1 : 1))))
    expect(found.size).toBeLessThan(facts.history.size)
  })

  it('opens a table when it comes to it, and closes it before the next, also where it is not read to its end', async () => {
    let open = 0
    let openMax = 0
    const disk: Disk = {
      ...nodeDisk,
      openFile: async (path) => {
        const file = await nodeDisk.openFile(path)
        if (file === undefined) return undefined
        openMax = Math.max(openMax, ++open)
        return { ...file, close: () => file.close().then(() => void open--) }
      },
    }
    await salvage(log.files, {}, disk)
    expect({ open, openMax }).toEqual({ open: 0, openMax: 1 })
    for await (const entry of salvageStore(disk, place(root, 'case', log.files))) {
      expect(entry.key).toEqual(logKey(1, 0))
      break
    }
    expect(open).toBe(0)
  })

  it('reads only', async () => {
    const directory = place(root, 'case', log.files)
    for await (const _ of salvageStore(nodeDisk, directory));
    expect(readFiles(directory)).toEqual(log.files)
  })

  it('is not for a disk whose stores are not LevelDB’s files', () => {
    expect(() => salvageStore(new MemoryDisk(), '/none')).toThrow('LevelDB')
  })
})

describe('which files count', () => {
  /** A key that was written, deleted and compacted away; the table that held it lies there still. */
  async function leftBehind(): Promise<Source> {
    const directory = temporaryDirectory()
    const options = { keyEncoding: 'buffer', valueEncoding: 'buffer', compression: false } as const
    const level = new ClassicLevel<Buffer, Buffer>(directory, options)
    const compact = () => level.compactRange(Buffer.alloc(0), Buffer.alloc(8, 0xff))
    const truth = new Map<string, Buffer>()
    for (const name of ['fill', 'gone', 'rest']) {
      await level.put(Buffer.from(name), Buffer.from(`value of ${name}`))
      truth.set(Buffer.from(name).toString('hex'), Buffer.from(`value of ${name}`))
    }
    await compact()
    const before = readFiles(directory)
    await level.del(Buffer.from('gone'))
    truth.delete(gone)
    await compact()
    await level.close()
    const files = readFiles(directory)
    const holdsIt = ([name, bytes]: [string, Buffer]) => name.endsWith('.ldb') && bytes.includes('gone')
    // compacted away for good: no table holds the deletion
    expect([...files].some(holdsIt)).toBe(false)
    const left = [...before].filter(holdsIt)
    expect(left).toHaveLength(1)
    return {
      name: 'left',
      files: new Map([...files, ...left]),
      truth,
      history: new Map(),
      isWrittenOnce: false,
    }
  }
  const gone = Buffer.from('gone').toString('hex')

  it('a table that a compaction replaced brings no deleted key back while the manifest is whole', async () => {
    const source = await leftBehind()
    const { found, report } = await salvage(source.files)
    expect(report.hadManifest).toBe(true)
    expect(found.has(gone)).toBe(false)
    expect(new Set(found.keys())).toEqual(new Set(source.truth.keys()))
  })

  it('nor where CURRENT is lost, or damaged: the newest manifest is as good', async () => {
    const source = await leftBehind()
    for (const current of [null, Buffer.from('MANIFEST-0'), Buffer.from('MANIFEST-000099\n')]) {
      const files = changed(source, (all) => {
        if (current === null) all.delete('CURRENT')
        else all.set('CURRENT', current)
      })
      const { found, report } = await salvage(files)
      expect(report.hadManifest).toBe(true)
      expect(new Set(found.keys())).toEqual(new Set(source.truth.keys()))
    }
  })

  it('without a manifest all tables are read: a key can come back, and the report says that there was none', async () => {
    const source = await leftBehind()
    const files = changed(source, (all) => all.delete(nameOf(all, 'MANIFEST')))
    const { found, report } = await salvage(files)
    expect(report.hadManifest).toBe(false)
    expect(new Set(found.keys())).toEqual(new Set([...source.truth.keys(), gone]))
  })

  it('a damaged manifest still says which tables its edits replaced', async () => {
    const source = await leftBehind()
    const files = changed(source, (all) => {
      // the first edit alone
      all.get(nameOf(all, 'MANIFEST'))![8]! ^= 1
    })
    const { found, report } = await salvage(files)
    expect(report.hadManifest).toBe(false)
    expect(new Set(found.keys())).toEqual(new Set(source.truth.keys()))
  })

  it('an empty table is one that was made and not written, unless there is no manifest to say so', async () => {
    const options = { keysAreWrittenOnce: true }
    const files = changed(log, (all) => all.set('009999.ldb', Buffer.alloc(0)))
    expect((await salvage(files, options)).report.lost).toEqual([])
    files.delete('CURRENT')
    files.delete(nameOf(files, 'MANIFEST'))
    const { report } = await salvage(files, options)
    expect(report.lost).toMatchObject([{ file: '009999.ldb', bytes: 0, from: null, to: null }])
  })

  it('a store whose keys are written once is read from all tables and logs', async () => {
    const files = changed(log, (all) => {
      all.set('009999.ldb', Buffer.from(all.get(table)!))
      all.get(table)!.fill(0, 0, 30_000)
    })
    const listed = await salvage(files)
    expect(listed.report.hadManifest).toBe(true)
    expect(missing(log, listed)[0]).toBe(1)
    expect(missing(log, await salvage(files, { keysAreWrittenOnce: true }))).toEqual([])
  })
})

it('files of any bytes are read to an end, and bring nothing', async () => {
  const random = seededRandom(testSeed())
  for (let i = 0; i < 60; i++) {
    const bytes = () =>
      Buffer.from(Array.from({ length: random.between(0, 3000) }, () => random.between(0, 255)))
    const files = new Map(
      ['CURRENT', 'MANIFEST-000001', '000002.ldb', '000003.log', '000004.sst', 'x'].map((name) => [
        name,
        bytes(),
      ]),
    )
    const { found, report } = await salvage(files, { keysAreWrittenOnce: i % 2 === 0 })
    expect(found.size).toBe(0)
    expect(report.bytesLost).toBeGreaterThan(0)
  }
  expect((await salvage(new Map())).report).toMatchObject({ entries: 0, lost: [], bytesLost: 0 })
})
