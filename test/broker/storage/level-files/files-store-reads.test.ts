/** What a store that is read from its files asks of the disk: each key went through the whole directory, and opened its tables anew. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFilesStore } from '../../../../broker/storage/level-files/files-store.ts'
import { scanFiles } from '../../../../broker/storage/level-files/scan-files.ts'
import { DamagedFilesError } from '../../../../broker/storage/level-files/table-cursor.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { logSource, place, removeTemporaryDirectories, type Source, temporaryDirectory } from './support.ts'

const SEED = testSeed()
const random = seededRandom(SEED)
let source: Source
let keys: Buffer[]

beforeAll(async () => {
  const sizes = { commits: 400, perCommit: 3, valueBytes: [0, 900] as [number, number] }
  source = await logSource(temporaryDirectory(), 'tables and a log', random, sizes)
  keys = [...source.history.keys()].map((hex) => Buffer.from(hex, 'hex'))
})
afterAll(removeTemporaryDirectories)

/** Counts what is opened and listed. */
function countingDisk() {
  const counts = { opened: 0, listed: 0 }
  const disk: Disk = {
    ...nodeDisk,
    openFile(path) {
      counts.opened++
      return nodeDisk.openFile(path)
    },
    list(path) {
      counts.listed++
      return nodeDisk.list(path)
    },
  }
  return { disk, counts }
}

describe('a store that is read from its files', () => {
  it('brings many keys in one pass, in the order asked for, those that are not there or asked twice among them', async () => {
    const directory = place(temporaryDirectory(), 'case', source.files)
    const { disk, counts } = countingDisk()
    const store = await openFilesStore(disk, directory)
    const tables = [...source.files.keys()].filter((name) => name.endsWith('.ldb')).length
    expect(tables).toBeGreaterThan(1)
    counts.opened = 0
    counts.listed = 0
    const asked = Array.from({ length: 256 }, () => keys[random.between(0, keys.length - 1)]!)
    asked.push(Buffer.from('no such key'), Buffer.alloc(0), asked[0]!)
    const values = await store.getMany(asked)
    expect(counts.listed).toBe(0)
    expect(counts.opened).toBeLessThanOrEqual(tables)
    for (const [i, key] of asked.entries())
      expect(values[i]?.toString('hex'), `seed ${SEED}`).toBe(
        source.truth.get(key.toString('hex'))?.toString('hex'),
      )
    expect(await store.getMany([])).toEqual([])
  })
})

describe('a scan of files whose write-ahead file is gone when its turn comes', () => {
  /** As where LevelDB makes a table of it between two looks. */
  function losing(times: number) {
    const state = { left: times, looks: 0 }
    const disk: Disk = {
      ...nodeDisk,
      openFile(path) {
        if (!path.endsWith('.log')) return nodeDisk.openFile(path)
        state.looks++
        return state.left-- > 0 ? Promise.resolve(undefined) : nodeDisk.openFile(path)
      },
    }
    return { disk, state }
  }
  const ALL = { from: Buffer.alloc(0), to: Buffer.alloc(300, 0xff) }

  it('looks again: what it held may be in a table that the version at hand does not have', async () => {
    const directory = place(temporaryDirectory(), 'case', source.files)
    const { disk, state } = losing(1)
    expect(await scanFiles(disk, directory, ALL), 'it holds something').toBeNull()
    expect(state.looks).toBe(2)
  })

  it('does not look for ever', async () => {
    const directory = place(temporaryDirectory(), 'case', source.files)
    await expect(scanFiles(losing(1000).disk, directory, ALL)).rejects.toBeInstanceOf(DamagedFilesError)
  })
})
