import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { internalKeyOf } from '../../../../broker/storage/level-files/internal-key.ts'
import type { SalvageOptions } from '../../../../broker/storage/level-files/salvage-store.ts'
import type { IndexedBlock } from '../../../../broker/storage/level-files/table-structure.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { seededRandom } from '../../../support/random.ts'
import { blockOf, withTrailer } from './blocks.ts'
import { withBrokenPages } from './broken-pages.ts'
import { missing, salvage as salvageIn } from './salvaged.ts'
import {
  isSealed,
  logKey,
  readFiles,
  removeTemporaryDirectories,
  type Source,
  sealedValue,
  temporaryDirectory,
  Writer,
} from './support.ts'
import { blocksOf, changed, nameOf, writeLog } from './written-log.ts'

let root: string
let log: Source
let table: string
let blocks: readonly IndexedBlock[]
let lastCommit: number
beforeAll(async () => {
  ;({ root, log, table, blocks, lastCommit } = await writeLog())
})
afterAll(removeTemporaryDirectories)

const salvage = (files: ReadonlyMap<string, Buffer>, options: SalvageOptions = {}, disk: Disk = nodeDisk) =>
  salvageIn(root, files, options, disk)

const commitsOf = (block: IndexedBlock) => {
  const i = blocks.indexOf(block)
  const end = (separator: Buffer) => Number(separator.readBigUInt64BE())
  const first = i === 0 ? 1 : end(blocks[i - 1]!.separator) + 1
  return Array.from({ length: end(block.separator) - first + 1 }, (_, n) => first + n)
}

/** The sealed value of a commit. */
function sealedOf(source: Source, commit: number): Buffer {
  return source.truth.get(logKey(commit, 0).toString('hex'))!
}

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
    const [first] = await blocksOf(root, tiny.files.get(name)!)
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
      const lastBlock = (await blocksOf(root, source.files.get(name)!)).at(-1)!
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
