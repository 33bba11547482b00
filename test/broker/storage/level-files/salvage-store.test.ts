import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkBlock } from '../../../../broker/storage/level-files/block.ts'
import { internalKeyOf, SEQUENCE_MAX } from '../../../../broker/storage/level-files/internal-key.ts'
import { maskedCrc } from '../../../../broker/storage/level-files/masked-crc.ts'
import type { SalvageReport } from '../../../../broker/storage/level-files/salvage-report.ts'
import { type SalvageOptions, salvageStore } from '../../../../broker/storage/level-files/salvage-store.ts'
import { type IndexedBlock, readStructure } from '../../../../broker/storage/level-files/table-structure.ts'
import { TolerantFile } from '../../../../broker/storage/level-files/tolerant-file.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { blockOf, withTrailer } from './blocks.ts'
import { withBrokenPages } from './broken-pages.ts'
import {
  factSource,
  isSealed,
  logKey,
  place,
  readFiles,
  removeTemporaryDirectories,
  type Source,
  sealedValue,
  temporaryDirectory,
  Writer,
} from './support.ts'

let root: string
/** Commits 1 to 200 of one entry of 1,000 bytes each; the last eleven are in the write-ahead file. */
let log: Source
/** Its first table: many blocks. */
let table: string
let blocks: readonly IndexedBlock[]
/** The last that is in the table. */
let lastCommit: number

beforeAll(async () => {
  root = temporaryDirectory()
  const random = seededRandom(1)
  const writer = await new Writer(join(root, 'written')).open()
  for (let commit = 1; commit <= 200; commit++) {
    if (commit === 190) await writer.reopen()
    const key = logKey(commit, 0)
    await writer.write([[key, sealedValue(key, random, 1000)]])
  }
  await writer.close()
  log = writer.source('log')
  table = [...log.files.keys()].filter((name) => name.endsWith('.ldb')).toSorted()[0]!
  blocks = await blocksOf(log.files.get(table)!)
  const { offset, size } = blocks.at(-1)!
  const limits = { after: null, through: null, sequenceMax: SEQUENCE_MAX, filter: null, offset }
  const { last } = checkBlock(log.files.get(table)!.subarray(offset, offset + size), limits)
  lastCommit = Number(last!.readBigUInt64BE())
})
afterAll(removeTemporaryDirectories)

async function blocksOf(bytes: Buffer): Promise<readonly IndexedBlock[]> {
  const file = (await TolerantFile.open(nodeDisk, join(place(root, 't', new Map([['t', bytes]])), 't'), 't'))!
  const { blocks: found } = await readStructure(file, file.size)
  await file.close()
  return found!
}

function changed(source: Source, change: (files: Map<string, Buffer>) => void): Map<string, Buffer> {
  const files = new Map([...source.files].map(([name, bytes]) => [name, Buffer.from(bytes)]))
  change(files)
  return files
}

const nameOf = (files: ReadonlyMap<string, Buffer>, part: string) =>
  [...files.keys()].findLast((name) => name.includes(part))!

interface Salvaged {
  /** By key in hex. */
  readonly found: ReadonlyMap<string, Buffer>
  readonly report: SalvageReport
}

async function salvage(
  files: ReadonlyMap<string, Buffer>,
  options: SalvageOptions = {},
  disk: Disk = nodeDisk,
): Promise<Salvaged> {
  const salvaged = salvageStore(disk, place(root, 'case', files), options)
  const found = new Map<string, Buffer>()
  for await (const { key, value } of salvaged) found.set(key.toString('hex'), value)
  expect([...found.keys()]).toEqual([...found.keys()].toSorted())
  expect(salvaged.report.entries).toBe(found.size)
  return { found, report: salvaged.report }
}

/** Commits that are not there, or not as they were written. */
function missing(source: Source, { found }: Salvaged): number[] {
  return [...source.truth]
    .filter(([key, value]) => found.get(key)?.equals(value) !== true)
    .map(([key]) => Number.parseInt(key.slice(0, 16), 16))
}

const commitsOf = (block: IndexedBlock) => {
  const i = blocks.indexOf(block)
  const end = (separator: Buffer) => Number(separator.readBigUInt64BE())
  const first = i === 0 ? 1 : end(blocks[i - 1]!.separator) + 1
  return Array.from({ length: end(block.separator) - first + 1 }, (_, n) => first + n)
}

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

describe('the salvage of a damaged table', () => {
  const footer = (bytes: Buffer) => void bytes.fill(0, bytes.length - 48)
  const index = (bytes: Buffer) => void bytes.fill(0, bytes.length - 200, bytes.length - 48)

  it.each([
    ['footer', [footer]],
    ['index', [index]],
    ['footer and index', [footer, index]],
  ])('brings all of it without its %s', async (_, ways) => {
    const salvaged = await salvage(
      changed(log, (files) => ways.forEach((way) => void way(files.get(table)!))),
    )
    expect(missing(log, salvaged)).toEqual([])
  })

  it('brings the blocks before the place where it is cut short, and names the keys that are gone', async () => {
    // in a block, at a block's end, and in the first
    for (const cut of [blocks[5]!.offset + 700, blocks[5]!.offset, 100, 0]) {
      const salvaged = await salvage(
        changed(log, (files) => files.set(table, files.get(table)!.subarray(0, cut))),
      )
      const first = cut < 1000 ? 1 : commitsOf(blocks[5]!)[0]!
      expect(missing(log, salvaged), `cut at ${cut}`).toEqual(
        Array.from({ length: lastCommit - first + 1 }, (_, i) => first + i),
      )
      const [lost] = salvaged.report.lost
      expect(lost).toMatchObject({ cause: 'table-truncated', file: table, isByWriting: false })
      expect(lost!.from!.compare(logKey(first, 0))).toBeLessThanOrEqual(0)
      expect(lost!.to).toEqual(logKey(lastCommit, 0))
    }
  })

  it('loses a block that is gone, alone, with the index or without', async () => {
    for (const ways of [[], [index], [footer, index]]) {
      const files = changed(log, (all) => {
        all.get(table)!.fill(0, blocks[3]!.offset, blocks[3]!.offset + blocks[3]!.size)
        for (const way of ways) way(all.get(table)!)
      })
      const salvaged = await salvage(files, { accept: () => true })
      expect(missing(log, salvaged)).toEqual(commitsOf(blocks[3]!))
      const lost = salvaged.report.lost.find(({ at }) => at === blocks[3]!.offset)
      expect(lost).toMatchObject({ cause: 'block-damaged', file: table })
      for (const commit of commitsOf(blocks[3]!)) {
        expect(lost!.from!.compare(logKey(commit, 0))).toBeLessThanOrEqual(0)
        expect(lost!.to!.compare(logKey(commit, 0))).toBeGreaterThanOrEqual(0)
      }
    }
  })

  it('joins the ranges of damaged neighbours', async () => {
    const end = blocks[5]!.offset + blocks[5]!.size
    const { report } = await salvage(
      changed(log, (files) => files.get(table)!.fill(0, blocks[3]!.offset, end)),
    )
    expect(report.lost).toMatchObject([{ at: blocks[3]!.offset, bytes: end - blocks[3]!.offset + 5 }])
    expect(report.blocksLost).toBe(3)
  })

  it('hands out entries of a block with a wrong checksum only where the caller accepts them', async () => {
    const files = changed(log, (all) => {
      all.get(table)![blocks[2]!.offset + 500]! ^= 1
    })
    const commits = commitsOf(blocks[2]!)
    const none = await salvage(files)
    expect(missing(log, none)).toEqual(commits)
    expect(none.report).toMatchObject({ rejected: commits.length, blocksLost: 1 })
    const some = await salvage(files, { accept: isSealed })
    expect(missing(log, some)).toEqual([commits[0]])
    expect(some.found.has(logKey(commits[0]!, 0).toString('hex'))).toBe(false)
    expect(some.report).toMatchObject({ rejected: 1, blocksLost: 1, lost: [{ cause: 'block-damaged' }] })
    expect((await salvage(files, { accept: () => true })).report).toMatchObject({ rejected: 0, lost: [] })
  })

  it('goes on at the next restart behind a length that is damaged', async () => {
    const random = seededRandom(3)
    const writer = await new Writer(join(root, 'tiny')).open()
    for (let commit = 1; commit <= 2000; commit++) {
      const key = logKey(commit, 0)
      await writer.write([[key, sealedValue(key, random, 20)]])
    }
    await writer.close()
    const tiny = writer.source('tiny')
    const name = [...tiny.files.keys()].filter((file) => file.endsWith('.ldb')).toSorted()[0]!
    const [first] = await blocksOf(tiny.files.get(name)!)
    const files = changed(tiny, (all) => {
      // the length of the third entry's own key
      const bytes = all.get(name)!
      const third = bytes.indexOf(sealedOf(tiny, 2)) + 24
      bytes[third + 1] = 0xff
    })
    const salvaged = await salvage(files, { accept: isSealed })
    const lost = missing(tiny, salvaged)
    expect(lost).toEqual(Array.from({ length: 14 }, (_, i) => 3 + i))
    expect(first!.size).toBeGreaterThan(2000)
  })

  it('knows a damaged key by the table’s filter, but for a few in a hundred, whatever the caller says', async () => {
    let handedOut = 0
    const [first] = commitsOf(blocks[2]!)
    for (let bit = 0; bit < 96; bit++) {
      const files = changed(log, (all) => {
        // the first entry's key stands behind three lengths, the last of two bytes
        all.get(table)![blocks[2]!.offset + 4 + (bit >> 3)]! ^= 1 << (bit & 7)
      })
      const { found } = await salvage(files, { accept: () => true })
      for (const [key] of found) if (!log.truth.has(key)) handedOut++
      expect(found.has(logKey(first!, 0).toString('hex')), `bit ${bit}`).toBe(false)
    }
    // the keys of the block share what is damaged: four at each bit
    expect(handedOut).toBeLessThan(0.05 * 96 * 4)
  })

  it('brings what is around a page that the disk does not give back', async () => {
    const disk = withBrokenPages(nodeDisk, table, [blocks[4]!.offset + 200])
    const salvaged = await salvage(log.files, { accept: isSealed }, disk)
    const near = blocks.filter(({ offset }) => Math.abs(offset - blocks[4]!.offset) < 8192).flatMap(commitsOf)
    expect(missing(log, salvaged).length).toBeGreaterThan(0)
    expect(near).toEqual(expect.arrayContaining(missing(log, salvaged)))
    expect(new Set(salvaged.report.lost.map(({ cause }) => cause))).toEqual(new Set(['unreadable']))
  })

  it('names what a table held that is gone', async () => {
    const salvaged = await salvage(changed(log, (files) => files.delete(table)))
    expect(missing(log, salvaged)).toHaveLength(lastCommit)
    expect(salvaged.report.lost).toMatchObject([
      { cause: 'table-missing', file: table, from: logKey(1, 0), to: logKey(lastCommit, 0) },
    ])
  })

  it('does not take for this table’s what was written for another one', async () => {
    const other = [...log.files.keys()].filter((name) => name.endsWith('.ldb')).toSorted()[1]!
    // all of it, and its first pages
    for (const bytes of [log.files.get(other)!.length, 32 * 1024]) {
      const files = changed(log, (all) => {
        const [from, to] = [all.get(other)!, all.get(table)!]
        all.set(table, Buffer.concat([from.subarray(0, bytes), to.subarray(bytes)]))
      })
      const salvaged = await salvage(files, { accept: isSealed })
      const lost = missing(log, salvaged)
      expect(lost.length).toBeGreaterThan(10)
      expect(Math.max(...lost)).toBeLessThanOrEqual(lastCommit)
      for (const commit of lost) {
        const key = logKey(commit, 0)
        const isTold = salvaged.report.lost.some(
          ({ from, to }) => key.compare(from!) >= 0 && key.compare(to!) <= 0,
        )
        expect(isTold, `commit ${commit}`).toBe(true)
      }
    }
  })

  it('does not take for a block what a client has put into a payload, nor lets it hide one', async () => {
    // one that fits between its neighbours, and one that claims to come after them
    for (const [forgedKey, hasFilter] of [
      [logKey(4, 7), false],
      [logKey(4, 7), true],
      [logKey(999, 0), false],
    ] as const) {
      const forged = withTrailer(blockOf([[internalKeyOf(forgedKey, 2, true), 'forged']]))
      const writer = await new Writer(join(temporaryDirectory(), 'store')).open()
      const random = seededRandom(4)
      for (let commit = 1; commit <= 80; commit++) {
        const key = logKey(commit, 0)
        const value =
          commit === 4
            ? Buffer.concat([forged, Buffer.alloc(1004 - forged.length)])
            : sealedValue(key, random, 1000)
        await writer.write([[key, value]])
      }
      await writer.close()
      const source = writer.source('forged')
      const name = [...source.files.keys()].filter((file) => file.endsWith('.ldb')).toSorted()[0]!
      const lastBlock = (await blocksOf(source.files.get(name)!)).at(-1)!
      const endOfBlocks = lastBlock.offset + lastBlock.size + 5
      const files = changed(source, (all) => {
        const bytes = all.get(name)!
        const at = bytes.indexOf(forged)
        bytes.fill(0, at - 100, at)
        index(bytes)
        // the filter knows that no such key was written
        if (!hasFilter) bytes.fill(0, endOfBlocks, endOfBlocks + 4)
      })
      const asked = new Set<string>()
      const accept = (key: Buffer) => {
        asked.add(key.toString('hex'))
        return false
      }
      const salvaged = await salvage(files, { accept })
      const key = forgedKey.toString('hex')
      expect(salvaged.found.has(key)).toBe(false)
      expect(asked.has(key)).toBe(forgedKey.equals(logKey(4, 7)) && !hasFilter)
      expect(missing(source, salvaged)).toEqual([1, 2, 3, 4])
    }
  })

  it('ends on bytes of which each looks like the beginning of a block', async () => {
    const entry = Buffer.from('0008000101010101010101', 'hex')
    const hostile = Buffer.concat(Array.from({ length: 200_000 }, () => entry))
    const { found } = await salvage(new Map([['000005.ldb', hostile]]), { accept: () => false })
    expect(found.size).toBe(0)
  })

  it('does not take the index for data, nor data for the index, where no footer says which it is', async () => {
    // a value that reads as the place of a block, in a block of its own
    for (const values of [['1'], ['x'.repeat(5000), '\x00\x05'], ['x'.repeat(5000), '\x00\x05xyz']]) {
      const writer = await new Writer(join(temporaryDirectory(), 'store')).open()
      for (const [i, value] of values.entries())
        await writer.write([[Buffer.from(`key${i}`), Buffer.from(value)]])
      await writer.reopen()
      await writer.close()
      const files = readFiles(writer.directory)
      const name = nameOf(files, '.ldb')
      const bytes = Buffer.from(files.get(name)!)
      footer(bytes)
      const { found, report } = await salvage(new Map([[name, bytes]]), { accept: () => true })
      expect([...found.values()].map(String)).toEqual(values)
      expect(report.lost).toEqual([])
    }
  })
})

/** The sealed value of a commit. */
function sealedOf(source: Source, commit: number): Buffer {
  return source.truth.get(logKey(commit, 0).toString('hex'))!
}

describe('the salvage of a write-ahead file', () => {
  const wal = (files: ReadonlyMap<string, Buffer>) => files.get(nameOf(files, '.log'))!
  const recordBytes = 7 + 12 + 1 + 1 + 12 + 2 + 1004

  it('brings the records behind damage that LevelDB drops, and says between which keys others were written', async () => {
    for (const at of [recordBytes + 500, recordBytes + 4, recordBytes + 5]) {
      const salvaged = await salvage(
        changed(log, (files) => {
          wal(files)[at]! ^= 1
        }),
      )
      expect(missing(log, salvaged), `byte ${at}`).toEqual([191])
      expect(salvaged.report.lost).toEqual([
        {
          cause: 'wal-damaged',
          file: nameOf(log.files, '.log'),
          at: recordBytes,
          bytes: recordBytes,
          from: logKey(190, 0),
          to: logKey(192, 0),
          isByWriting: true,
        },
      ])
    }
  })

  it('tells a write that was cut short from one that was damaged', async () => {
    const cut = await salvage(
      changed(log, (files) => files.set(nameOf(files, '.log'), wal(files).subarray(0, -10))),
    )
    expect(missing(log, cut)).toEqual([200])
    expect(cut.report.lost).toMatchObject([{ cause: 'wal-torn', from: logKey(199, 0), to: null }])
    const zeros = await salvage(
      changed(log, (files) =>
        files.set(nameOf(files, '.log'), Buffer.concat([wal(files), Buffer.alloc(9000)])),
      ),
    )
    expect(missing(log, zeros)).toEqual([])
    expect(zeros.report.lost).toMatchObject([{ cause: 'wal-zeros' }])
  })

  it('brings what is around a page that the disk does not give back', async () => {
    const disk = withBrokenPages(nodeDisk, nameOf(log.files, '.log'), [0])
    const salvaged = await salvage(log.files, {}, disk)
    expect(missing(log, salvaged)).toEqual([190, 191, 192, 193])
  })

  it('does not take for a record what a client has put into a payload', async () => {
    const batch = Buffer.concat([Buffer.from('ff00000000000000010000000103666f6f03626172', 'hex')])
    const typed = Buffer.concat([Buffer.of(1), batch])
    const header = Buffer.alloc(6)
    header.writeUInt32LE(maskedCrc(typed))
    header.writeUInt16LE(batch.length, 4)
    const forged = Buffer.concat([header, typed])
    const writer = await new Writer(join(root, 'forged-wal')).open()
    await writer.write([[Buffer.from('a'), Buffer.concat([forged, Buffer.alloc(50, 1)])]])
    await writer.write([[Buffer.from('b'), Buffer.from('1')]])
    await writer.close()
    const source = writer.source('forged-wal')
    // its length as well: where it ends is not known
    const salvaged = await salvage(
      changed(source, (files) => {
        wal(files)[4]! ^= 3
      }),
    )
    expect([...salvaged.found.keys()]).toEqual(['62'])
  })

  it('leaves out what is no batch', async () => {
    const files = changed(log, (all) => all.set(nameOf(all, '.log'), all.get(nameOf(all, 'MANIFEST'))!))
    const salvaged = await salvage(files)
    expect(Math.min(...missing(log, salvaged))).toBe(190)
    expect(salvaged.found.size).toBe(189)
    expect(salvaged.report.lost[0]).toMatchObject({ cause: 'wal-foreign' })
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
