/** A store that is read from its files alone has what LevelDB has once it could open them: for a disk on which it cannot. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFilesStore } from '../../../../broker/storage/level-files/files-store.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Entry, Store } from '../../../../broker/storage/store.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import {
  factSource,
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
const FIRST = Buffer.alloc(0)
const END = Buffer.alloc(300, 0xff)
const SEED = testSeed()

const random = seededRandom(SEED)
let root: string
const sources: Source[] = []

beforeAll(async () => {
  root = temporaryDirectory()
  sources.push(
    await logSource(root, 'tables and a log', random, { commits: 400, perCommit: 3, valueBytes: [0, 900] }),
    await logAlone(),
    await factSource(root, 'overwritten and deleted', random, 1500),
    await factSource(root, 'overwritten in the log alone', random, 40),
  )
}, 60_000)
afterAll(removeTemporaryDirectories)

async function logAlone(): Promise<Source> {
  const writer = await new Writer(join(root, 'source-log-alone')).open()
  for (let n = 0; n < 12; n++) {
    const key = Buffer.from(`key ${n % 9}`)
    await writer.write([[key, n === 4 ? null : sealedValue(key, random, 100)]])
  }
  await writer.close()
  return writer.source('a log alone')
}

const copy = ({ key, value }: Entry) => [key.toString('hex'), value.toString('hex')]

/** Runs `check` with the files alone and with LevelDB on a copy of them. */
async function both(source: Source, check: (files: Store, level: Store) => Promise<void>): Promise<void> {
  const directory = place(root, 'files', source.files)
  const level = await nodeDisk.openStore(place(root, 'level', source.files), OPTIONS)
  try {
    await check(await openFilesStore(nodeDisk, directory), level)
  } finally {
    await level.close()
  }
  expect(readFiles(directory), 'nothing is written').toEqual(source.files)
}

describe('a store read from its files', () => {
  it('has write-ahead files before it that LevelDB would make tables of', () => {
    for (const { name, files } of sources) {
      const logs = [...files].filter(([file, bytes]) => file.endsWith('.log') && bytes.length > 0)
      expect(logs.length, name).toBeGreaterThan(0)
    }
    const tables = ({ files }: Source) => [...files.keys()].filter((file) => file.endsWith('.ldb')).length
    expect(tables(sources[0]!)).toBeGreaterThan(0)
    expect(tables(sources[1]!)).toBe(0)
    expect(tables(sources[2]!)).toBeGreaterThan(0)
  })

  it('brings any range and any key as LevelDB does', async () => {
    for (const source of sources) {
      const keys = [...source.history.keys()].sort().map((hex) => Buffer.from(hex, 'hex'))
      const any = () => keys[random.between(0, keys.length - 1)]!
      await both(source, async (files, level) => {
        const ranges = [{ from: FIRST, to: END, bytesMax: 1e9 }]
        for (let i = 0; i < 20; i++)
          ranges.push({
            from: any(),
            to: random.next() < 0.5 ? any() : END,
            bytesMax: random.between(1, 20_000),
          })
        for (const range of ranges) {
          const at = `${source.name}, ${range.from.toString('hex')}, ${range.bytesMax}, seed ${SEED}`
          expect((await files.range(range)).map(copy), at).toEqual((await level.range(range)).map(copy))
        }
        const asked = [...Array.from({ length: 15 }, any), Buffer.from('no such key')]
        expect(await files.getMany(asked), source.name).toEqual(await level.getMany(asked))
        expect(await files.get(asked[0]!)).toEqual(await level.get(asked[0]!))
      })
    }
  }, 60_000)

  it('is gone through step by step to its end, and not written', async () => {
    const source = sources[0]!
    await both(source, async (files, level) => {
      const scan = files.scan(FIRST, END)
      const found: Entry[] = []
      for (let step = await scan.next(500); step.length > 0; step = await scan.next(500)) found.push(...step)
      await scan.close()
      expect(found.map(copy)).toEqual((await level.range({ from: FIRST, to: END, bytesMax: 1e9 })).map(copy))
      expect(() => files.batch()).toThrow(/not written/)
    })
    expect(readdirSync(place(root, 'files', source.files)).length).toBe(source.files.size)
  })
})
