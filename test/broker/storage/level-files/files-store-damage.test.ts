/** A store that is read from its files alone, and whose write-ahead file has been damaged since it was found fit: it may not pass over entries. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFilesStore } from '../../../../broker/storage/level-files/files-store.ts'
import { DamagedFilesError } from '../../../../broker/storage/level-files/table-cursor.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { withBrokenPages } from './broken-pages.ts'
import {
  place,
  removeTemporaryDirectories,
  type Source,
  sealedValue,
  temporaryDirectory,
  Writer,
} from './support.ts'

const random = seededRandom(testSeed())
const ALL = { from: Buffer.alloc(0), to: Buffer.alloc(300, 0xff), bytesMax: 1e9 }
const KEYS = 30
let source: Source
let wal: string

beforeAll(async () => {
  const writer = await new Writer(temporaryDirectory()).open()
  for (let n = 0; n < KEYS; n++)
    await writer.write([[Buffer.from(`key ${n}`), sealedValue(Buffer.from(`key ${n}`), random, 300)]])
  await writer.close()
  source = writer.source('a log alone')
  wal = [...source.files.keys()].find((name) => name.endsWith('.log'))!
})
afterAll(removeTemporaryDirectories)

function placed(change: (bytes: Buffer) => Buffer = (bytes) => bytes): string {
  const files = new Map(source.files)
  files.set(wal, change(Buffer.from(files.get(wal)!)))
  return place(temporaryDirectory(), 'case', files)
}

describe('a store that is read from its files', () => {
  it('is not opened where the disk does not give back a page of its write-ahead file, wherever that is', async () => {
    const { length } = source.files.get(wal)!
    expect(length).toBeGreaterThan(2 * 4096)
    for (const at of [0, 5000, length - 1]) {
      const opening = openFilesStore(withBrokenPages(nodeDisk, wal, [at]), placed())
      await expect(opening, `byte ${at}`).rejects.toBeInstanceOf(DamagedFilesError)
      await expect(opening).rejects.toMatchObject({ findings: [{ kind: 'unreadable', file: wal }] })
    }
  })

  it('is not opened where records that are whole stand behind damage', async () => {
    const flipped = placed((bytes) => {
      bytes[1000]! ^= 1
      return bytes
    })
    await expect(openFilesStore(nodeDisk, flipped)).rejects.toMatchObject({
      findings: [{ kind: 'wal-damaged' }],
    })
  })

  it('is opened where its last write was cut short, as LevelDB opens it', async () => {
    const store = await openFilesStore(
      nodeDisk,
      placed((bytes) => bytes.subarray(0, -3)),
    )
    expect(await store.range(ALL)).toHaveLength(KEYS - 1)
  })
})
