/** A row for each kind of damage: what the checker finds, its verdict, and what LevelDB makes of the same directory. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ByteCursor } from '../../../../broker/storage/level-files/byte-cursor.ts'
import { checkStore } from '../../../../broker/storage/level-files/check-store.ts'
import type { FindingKind } from '../../../../broker/storage/level-files/findings.ts'
import type { IndexedBlock } from '../../../../broker/storage/level-files/table-structure.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { seededRandom } from '../../../support/random.ts'
import {
  type Files,
  LevelJudge,
  logKey,
  place,
  readFiles,
  removeTemporaryDirectories,
  type Source,
  sealedValue,
  temporaryDirectory,
  Writer,
} from './support.ts'
import { changed as changedFiles, nameOf, writeLog } from './written-log.ts'

let root: string
let source: Source
let table: string
let blocks: readonly IndexedBlock[]
const judge = new LevelJudge()

beforeAll(async () => {
  ;({ root, log: source, table, blocks } = await writeLog())
  expect(blocks.length).toBeGreaterThan(5)
})
afterAll(() => {
  judge.close()
  removeTemporaryDirectories()
})

type Change = (files: Map<string, Buffer>) => void

const changed = (change: Change): Files => changedFiles(source, change)

const walOf = (files: Files) => nameOf(files, '.log')
const manifestOf = (files: Files) => nameOf(files, 'MANIFEST')

/** Changes bytes of the table, counted from its end where `at` is negative. */
const inTable =
  (at: (bytes: Buffer) => number, fill: (bytes: Buffer, at: number) => void): Change =>
  (files) => {
    const bytes = files.get(table)!
    fill(bytes, at(bytes))
  }
const flip = (bytes: Buffer, at: number) => {
  bytes[at]! ^= 0x10
}
const zero = (length: number) => (bytes: Buffer, at: number) => void bytes.fill(0, at, at + length)

interface Row {
  readonly what: string
  readonly change: Change
  readonly kinds: readonly FindingKind[]
  readonly verdict: 'openable' | 'salvage'
  /** opened: reads all without an error. refused: an error, at opening or reading. ended: the process is gone. loses: opens, with less. */
  readonly level: 'opened' | 'refused' | 'ended' | 'loses'
}

const inBlock = (i: number, offset: number) => () => blocks[i]!.offset + offset

const ROWS: readonly Row[] = [
  { what: 'nothing', change: () => {}, kinds: [], verdict: 'openable', level: 'opened' },
  {
    what: 'CURRENT is missing',
    change: (files) => files.delete('CURRENT'),
    kinds: ['current-missing'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'CURRENT is empty',
    change: (files) => files.set('CURRENT', Buffer.alloc(0)),
    kinds: ['current-damaged'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'the manifest is missing',
    change: (files) => files.delete(manifestOf(files)),
    kinds: ['manifest-missing'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'a bit of the manifest is flipped',
    change: (files) => flip(files.get(manifestOf(files))!, 20),
    kinds: ['manifest-damaged'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'the manifest ends in zeros: an edit that was not synced',
    change: (files) =>
      files.set(manifestOf(files), Buffer.concat([files.get(manifestOf(files))!, Buffer.alloc(500)])),
    kinds: ['manifest-torn'],
    verdict: 'openable',
    level: 'opened',
  },
  {
    what: 'the manifest is that of an earlier time, its log is gone: LevelDB removes the newer tables',
    change: (files) => {
      const bytes = files.get(manifestOf(files))!
      files.set(manifestOf(files), bytes.subarray(0, 7 + bytes.readUInt16LE(4)))
    },
    kinds: ['manifest-damaged'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'a table is missing',
    change: (files) => files.delete(table),
    kinds: ['table-missing'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'a table is cut short',
    change: (files) => files.set(table, files.get(table)!.subarray(0, 20_000)),
    kinds: ['table-truncated'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'bytes follow a table',
    change: (files) => files.set(table, Buffer.concat([files.get(table)!, Buffer.alloc(100)])),
    kinds: ['table-longer'],
    verdict: 'openable',
    level: 'opened',
  },
  {
    what: 'the footer is zeros',
    change: inTable((bytes) => bytes.length - 48, zero(48)),
    kinds: ['footer-damaged'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'a key of the index is cut short',
    change: inTable(
      (bytes) => indexOf(bytes) + 1,
      (bytes, at) => bytes.fill(2, at, at + 1),
    ),
    kinds: ['index-damaged'],
    verdict: 'salvage',
    level: 'ended',
  },
  {
    what: 'the filter is zeros: lookups miss what is there',
    change: inTable(() => blocks.at(-1)!.offset + blocks.at(-1)!.size + 5, zero(8)),
    kinds: ['filter-damaged'],
    verdict: 'salvage',
    level: 'refused',
  },
  {
    what: 'a bit of a value is flipped',
    change: inTable(inBlock(2, 100), flip),
    kinds: ['block-checksum'],
    verdict: 'openable',
    level: 'opened',
  },
  {
    what: 'a bit of a checksum is flipped',
    change: inTable(() => blocks[2]!.offset + blocks[2]!.size + 3, flip),
    kinds: ['block-checksum'],
    verdict: 'openable',
    level: 'opened',
  },
  {
    what: 'a block begins with zeros',
    change: inTable(inBlock(2, 0), zero(100)),
    kinds: ['block-damaged'],
    verdict: 'salvage',
    level: 'ended',
  },
  {
    what: 'a block is that of another place, its checksum right: keys out of order end a compaction',
    change: (files) => {
      const bytes = files.get(table)!
      const [from, to] = sameSized()
      bytes.copy(bytes, to.offset, from.offset, from.offset + from.size + 5)
    },
    kinds: ['block-damaged'],
    verdict: 'salvage',
    level: 'ended',
  },
  {
    what: 'the write-ahead file is cut short',
    change: (files) => files.set(walOf(files), files.get(walOf(files))!.subarray(0, -3)),
    kinds: ['wal-torn'],
    verdict: 'openable',
    level: 'loses',
  },
  {
    what: 'the write-ahead file ends in zeros',
    change: (files) => files.set(walOf(files), Buffer.concat([files.get(walOf(files))!, Buffer.alloc(5000)])),
    kinds: ['wal-zeros'],
    verdict: 'openable',
    level: 'opened',
  },
  {
    what: 'a bit in the middle of the write-ahead file is flipped: LevelDB drops the rest of its block',
    change: (files) => flip(files.get(walOf(files))!, 30),
    kinds: ['wal-damaged', 'wal-hides-records'],
    verdict: 'salvage',
    level: 'loses',
  },
  {
    what: 'the write-ahead file is missing',
    change: (files) => files.delete(walOf(files)),
    kinds: ['wal-missing'],
    verdict: 'openable',
    level: 'loses',
  },
  {
    what: 'the write-ahead file holds its records twice',
    change: (files) => files.set(walOf(files), twice(files.get(walOf(files))!)),
    kinds: ['wal-repeats'],
    verdict: 'salvage',
    level: 'ended',
  },
  {
    what: 'the write-ahead file holds a manifest',
    change: (files) => files.set(walOf(files), files.get(manifestOf(files))!),
    kinds: ['wal-foreign'],
    verdict: 'salvage',
    level: 'ended',
  },
  {
    what: 'a file of another program lies there',
    change: (files) => files.set('notes.txt', Buffer.from('x')),
    kinds: ['unknown-file'],
    verdict: 'openable',
    level: 'opened',
  },
  {
    what: 'a table lies there that no version has',
    change: (files) => files.set('009999.ldb', Buffer.alloc(10)),
    kinds: [],
    verdict: 'openable',
    level: 'opened',
  },
]

/** Where the index begins: the footer's third number. */
function indexOf(bytes: Buffer): number {
  const cursor = new ByteCursor(bytes, bytes.length - 48)
  return [cursor.varint64(), cursor.varint64(), cursor.varint64()][2]!
}

/** Two blocks of one size: their checksums stay right when one is written over the other. */
function sameSized(): [IndexedBlock, IndexedBlock] {
  for (const from of blocks) {
    const to = blocks.find((block) => block.size === from.size && block.offset !== from.offset)
    if (to !== undefined) return [from, to]
  }
  throw new Error('no two blocks are of one size')
}

/** Within one block of the file, so that each record stays whole. */
function twice(wal: Buffer): Buffer {
  expect(wal.length).toBeLessThan(16 * 1024)
  return Buffer.concat([wal, wal])
}

describe('a store', () => {
  for (const { what, change, kinds, verdict, level } of ROWS) {
    it(`in which ${what}: ${verdict}; LevelDB: ${level}`, async () => {
      const files = changed(change)
      const directory = place(root, 'case', files)
      const report = await checkStore(nodeDisk, directory, { depth: 'blocks' })
      expect([...new Set(report.findings.map(({ kind }) => kind))]).toEqual(kinds)
      expect(report).toMatchObject({ verdict, omitted: 0, wasChecked: true })
      // it only reads
      expect(readFiles(directory)).toEqual(files)
      const outcome = await judge.open(directory)
      if (outcome.kind !== 'opened') return expect(outcome.kind).toBe(level)
      const { error, entries, differing } = outcome.opened
      const found = entries.length === source.truth.size ? 'opened' : 'loses'
      expect(error === null && differing.length === 0 ? found : 'refused').toBe(level)
    })
  }
})

it('the checker knows a manifest whose last edits are lost by the log that it names: LevelDB would remove the newest tables', async () => {
  const random = seededRandom(2)
  const writer = await new Writer(join(temporaryDirectory(), 'store')).open()
  for (let commit = 1; commit <= 200; commit++) {
    const key = logKey(commit, 0)
    await writer.write([[key, sealedValue(key, random, 1000)]])
  }
  await writer.close()
  const { files, truth } = writer.source('log')
  const manifest = files.get(manifestOf(files))!
  let at = 0
  const edits: number[] = []
  for (; at < manifest.length; at += 7 + manifest.readUInt16LE(at + 4)) edits.push(at)
  const older = new Map([...files, [manifestOf(files), manifest.subarray(0, edits.at(-1))]])
  const directory = place(root, 'case', older)
  const report = await checkStore(nodeDisk, directory, { depth: 'blocks' })
  expect(report.verdict).toBe('salvage')
  expect(report.findings.map(({ kind }) => kind)).toEqual(['manifest-behind', 'wal-missing'])
  const outcome = await judge.open(directory)
  if (outcome.kind !== 'opened') throw new Error(outcome.kind)
  expect(outcome.opened.error).toBeNull()
  expect(outcome.opened.entries.length).toBeLessThan(truth.size)
})
