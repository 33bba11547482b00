/** A scan of the files brings what LevelDB brings, whatever the shape of the store, in memory that is used again. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CorruptLogError } from '../../../../broker/errors.ts'
import { type EntryScan, type KeyRange, scanStore } from '../../../../broker/storage/entry-scan.ts'
import { readLayout } from '../../../../broker/storage/level-files/layout.ts'
import { scanFiles } from '../../../../broker/storage/level-files/scan-files.ts'
import { DamagedFilesError } from '../../../../broker/storage/level-files/table-cursor.ts'
import { readStructure } from '../../../../broker/storage/level-files/table-structure.ts'
import { TolerantFile } from '../../../../broker/storage/level-files/tolerant-file.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { type Random, seededRandom, testSeed } from '../../../support/random.ts'
import {
  factSource,
  logKey,
  logSource,
  place,
  readFiles,
  removeTemporaryDirectories,
  type Source,
  sealedValue,
  temporaryDirectory,
  Writer,
} from './support.ts'

const OPTIONS = { writeBufferBytes: 64 * 1024, createIfMissing: false }
const ALL: KeyRange = { from: Buffer.alloc(0), to: Buffer.alloc(300, 0xff) }
const SEED = testSeed()

let root: string
let random: Random
const sources: Source[] = []

beforeAll(async () => {
  root = temporaryDirectory()
  random = seededRandom(SEED)
  sources.push(
    await logSource(root, 'small', random, { commits: 400, perCommit: 3, valueBytes: [0, 900] }),
    await logSource(root, 'larger than a block', random, {
      ...{ commits: 60, perCommit: 2, valueBytes: [3000, 30_000] },
    }),
    await logSource(root, 'larger than a read', random, {
      ...{ commits: 6, perCommit: 1, valueBytes: [200_000, 700_000] },
    }),
    await factSource(root, 'overwritten and deleted', random, 1500),
    await factSource(root, 'all in one table', random, 40),
    await levels(),
    await nothing(),
  )
}, 60_000)
afterAll(removeTemporaryDirectories)

/** Tables of several levels that overlap, with deletions above what they delete. */
async function levels(): Promise<Source> {
  const writer = await new Writer(join(root, 'source-levels'), 64 * 1024).open()
  for (let round = 0; round < 12; round++) {
    for (let n = 0; n < 40; n++) {
      const key = Buffer.from(`${random.between(0, 400)}`)
      const isDeletion = round > 2 && random.next() < 0.2
      await writer.write([[key, isDeletion ? null : sealedValue(key, random, random.between(0, 4000))]])
    }
    // each opening writes a table of what came since
    await writer.reopen()
  }
  await writer.close()
  return writer.source('levels')
}

async function nothing(): Promise<Source> {
  const writer = await new Writer(join(root, 'source-nothing')).open()
  await writer.close()
  return writer.source('nothing')
}

/** A directory with the source's files in which no write-ahead file holds anything. */
async function settled(source: Source): Promise<string> {
  const directory = place(root, 'settled', source.files)
  await nodeDisk.settleStore(directory, OPTIONS)
  return directory
}

type Copy = readonly [key: string, value: string]

async function copies(scan: EntryScan, bytesMax = 10_000): Promise<Copy[]> {
  const found: Copy[] = []
  let sum = 0
  const visit = (key: Buffer, value: Buffer) => {
    sum += key.length + value.length
    found.push([key.toString('hex'), value.toString('base64')])
  }
  try {
    for (;;) {
      const before = sum
      const bytes = await scan.next(bytesMax, visit)
      expect(bytes).toBe(sum - before)
      if (bytes === 0) return found
    }
  } finally {
    await scan.close()
  }
}

async function throughLevel(directory: string, range: KeyRange): Promise<Copy[]> {
  const store = await nodeDisk.openStore(directory, OPTIONS)
  try {
    return await copies(scanStore(store, range))
  } finally {
    await store.close()
  }
}

async function throughFiles(disk: Disk, directory: string, range: KeyRange, bytesMax?: number) {
  return copies((await scanFiles(disk, directory, range))!, bytesMax)
}

const nameOf = async (directory: string) => (await readLayout(nodeDisk, directory)).tables.at(0)!.name

describe('a scan of a store’s files', () => {
  it('brings what LevelDB brings, from any key to any other', async () => {
    for (const source of sources) {
      const directory = await settled(source)
      const keys = [...source.history.keys()].sort().map((hex) => Buffer.from(hex, 'hex'))
      const any = () => keys[random.between(0, keys.length - 1)] ?? Buffer.of(1)
      const ranges = [ALL, { from: ALL.from, to: any() }, { from: any(), to: ALL.to }]
      for (let i = 0; i < 5; i++) {
        const from = any()
        ranges.push({ from, to: any() }, { from, to: Buffer.concat([from, Buffer.of(0)]) })
        ranges.push({ from: Buffer.concat([from, Buffer.of(0)]), to: ALL.to })
      }
      for (const range of ranges) {
        const at = `${source.name}, ${range.from.toString('hex')} to ${range.to.toString('hex')}, seed ${SEED}`
        const found = await throughFiles(nodeDisk, directory, range, random.between(1, 50_000))
        expect(found, at).toEqual(await throughLevel(directory, range))
      }
      expect((await throughFiles(nodeDisk, directory, ALL)).length, source.name).toBe(source.truth.size)
    }
  }, 60_000)

  it('has stores of several levels before it, some with tables that overlap', async () => {
    const levelsOf = async (name: string) => {
      const directory = await settled(sources.find((source) => source.name === name)!)
      const { version } = await readLayout(nodeDisk, directory)
      return version!.live
    }
    expect((await levelsOf('nothing')).length).toBe(0)
    expect((await levelsOf('small')).length).toBeGreaterThan(1)
    expect(new Set((await levelsOf('levels')).map(({ level }) => level)).size).toBeGreaterThan(1)
  })

  it('says so where a write-ahead file holds something that is in no table', async () => {
    for (const source of sources) {
      const directory = place(root, 'written', source.files)
      const hasLog = [...source.files].some(([name, bytes]) => name.endsWith('.log') && bytes.length > 0)
      const scan = await scanFiles(nodeDisk, directory, ALL)
      expect(scan === null, source.name).toBe(hasLog)
      await scan?.close()
    }
    expect(
      sources.filter(({ files }) => [...files].some(([n, b]) => n.endsWith('.log') && b.length > 0)).length,
    ).toBeGreaterThan(3)
  })

  it('hands out memory that it uses again', async () => {
    const directory = await settled(sources[0]!)
    const kept: Buffer[] = []
    const wanted: string[] = []
    const scan = (await scanFiles(nodeDisk, directory, ALL))!
    const visit = (key: Buffer, value: Buffer) => {
      kept.push(key, value)
      wanted.push(key.toString('hex'), value.toString('hex'))
    }
    while ((await scan.next(20_000, visit)) > 0);
    await scan.close()
    // of 400 kB no more than two reads' memory is left, and one key
    expect(kept.filter((bytes, i) => bytes.toString('hex') !== wanted[i]).length).toBeGreaterThan(300)
    expect(new Set(kept.map(({ buffer }) => buffer)).size).toBeLessThan(5)
  })

  it('goes on while LevelDB opens the store, and merges its tables under it', async () => {
    for (const source of sources.filter(({ truth }) => truth.size > 100)) {
      const directory = await settled(source)
      const wanted = await throughFiles(nodeDisk, directory, ALL)
      const scan = (await scanFiles(nodeDisk, directory, ALL))!
      const found: Copy[] = []
      const visit = (key: Buffer, value: Buffer) => {
        found.push([key.toString('hex'), value.toString('base64')])
      }
      await scan.next(1, visit)
      const before = (await readLayout(nodeDisk, directory)).tables
      const db = new ClassicLevel<Buffer, Buffer>(directory, {
        ...{ keyEncoding: 'buffer', valueEncoding: 'buffer', compression: false },
      })
      await db.open()
      await db.compactRange(Buffer.alloc(0), Buffer.alloc(300, 0xff))
      const after = (await readLayout(nodeDisk, directory)).tables
      expect(after, source.name).not.toEqual(before)
      while ((await scan.next(10_000, visit)) > 0);
      await scan.close()
      await db.close()
      expect(found, source.name).toEqual(wanted)
    }
  }, 60_000)

  it('reads a block whose checksum is wrong, where all entries are in their places', async () => {
    const source = sources.find(({ name }) => name === 'larger than a block')!
    const directory = await settled(source)
    const name = await nameOf(directory)
    const files = readFiles(directory)
    const file = (await TolerantFile.open(nodeDisk, join(directory, name), name))!
    const { blocks } = await readStructure(file, file.size)
    await file.close()
    // a byte of the value: it lies behind the entry's key, and before the restarts
    files.get(name)![blocks![1]!.offset + 1000]! ^= 1
    place(root, 'settled', files)
    const found = await throughFiles(nodeDisk, directory, ALL)
    expect(found).toEqual(await throughLevel(directory, ALL))
    expect(found.filter(([key, value]) => source.truth.get(key)!.toString('base64') !== value).length).toBe(1)
  })

  it('ends with what is damaged, and never brings anything else than was written', async () => {
    const source = sources[0]!
    const whole = readFiles(await settled(source))
    const name = await nameOf(join(root, 'settled'))
    let damaged = 0
    for (let i = 0; i < 100; i++) {
      const bytes = Buffer.from(whole.get(name)!)
      const at = random.between(0, bytes.length - 1)
      if (random.next() < 0.3) bytes.fill(0, at, Math.min(bytes.length, at + random.between(1, 5000)))
      else bytes[at]! ^= 1 << random.between(0, 7)
      const isCut = random.next() < 0.2
      const files = new Map(whole).set(name, isCut ? bytes.subarray(0, at) : bytes)
      const directory = place(root, 'damaged', files)
      try {
        for (const [key, value] of await throughFiles(nodeDisk, directory, ALL)) {
          const was = source.truth.get(key)
          expect(was, `seed ${SEED}, case ${i}`).toBeDefined()
          // a flipped bit of a value is its reader's to see
          expect(Buffer.from(value, 'base64').length, `seed ${SEED}, case ${i}`).toBe(was!.length)
        }
      } catch (error) {
        if (!(error instanceof DamagedFilesError)) throw error
        expect(error.findings.length).toBeGreaterThan(0)
        damaged++
      }
    }
    expect(damaged).toBeGreaterThan(10)
  }, 60_000)

  it('says which table is gone for good', async () => {
    const directory = await settled(sources[0]!)
    const name = await nameOf(directory)
    rmSync(join(directory, name))
    await expect(throughFiles(nodeDisk, directory, ALL)).rejects.toMatchObject({
      findings: [{ kind: 'table-missing', file: name }],
    })
    // between two steps: it is looked for again, and not there either
    const again = await settled(sources[0]!)
    const last = (await readLayout(nodeDisk, again)).tables.at(-1)!.name
    const scan = (await scanFiles(nodeDisk, again, ALL))!
    await scan.next(1, () => {})
    rmSync(join(again, last))
    await expect(copies(scan)).rejects.toBeInstanceOf(DamagedFilesError)
  })

  it('gives back its files', async () => {
    let open = 0
    const disk: Disk = {
      ...nodeDisk,
      async openFile(path) {
        const file = await nodeDisk.openFile(path)
        if (file === undefined) return undefined
        open++
        const close = async () => {
          open--
          await file.close()
        }
        return { size: file.size, read: (...rest) => file.read(...rest), close }
      },
    }
    for (const source of sources) {
      const directory = await settled(source)
      await throughFiles(disk, directory, ALL)
      expect(open, source.name).toBe(0)
      const scan = (await scanFiles(disk, directory, ALL))!
      await scan.next(1, () => {})
      await scan.close()
      expect(open, source.name).toBe(0)
    }
  })

  it('leaves a compressed table to LevelDB', async () => {
    const directory = join(root, 'compressed')
    const db = new ClassicLevel<Buffer, Buffer>(directory, {
      ...{ keyEncoding: 'buffer', valueEncoding: 'buffer', compression: true },
    })
    await db.open()
    for (let i = 0; i < 100; i++) await db.put(logKey(i, 0), Buffer.alloc(1000))
    await db.compactRange(Buffer.alloc(0), Buffer.alloc(300, 0xff))
    await db.close()
    await nodeDisk.settleStore(directory, OPTIONS)
    const isCompressed = await throughFiles(nodeDisk, directory, ALL).catch((error) => error)
    expect(isCompressed).toBeInstanceOf(CorruptLogError)
  })
})
