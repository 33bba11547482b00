/** A log as LevelDB wrote it, for the tests that damage its files. */
import { join } from 'node:path'
import { checkBlock } from '../../../../broker/storage/level-files/block.ts'
import { SEQUENCE_MAX } from '../../../../broker/storage/level-files/internal-key.ts'
import { type IndexedBlock, readStructure } from '../../../../broker/storage/level-files/table-structure.ts'
import { TolerantFile } from '../../../../broker/storage/level-files/tolerant-file.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { seededRandom } from '../../../support/random.ts'
import { logKey, place, type Source, sealedValue, temporaryDirectory, Writer } from './support.ts'

/** Commits 1 to 200 of one entry of 1,000 bytes each; the last eleven are in the write-ahead file. */
export interface WrittenLog {
  /** A temporary directory of its own. */
  readonly root: string
  readonly log: Source
  /** Its first table, which is live: many blocks. */
  readonly table: string
  readonly blocks: readonly IndexedBlock[]
  /** The last that is in the table. */
  readonly lastCommit: number
}

export async function writeLog(): Promise<WrittenLog> {
  const root = temporaryDirectory()
  const random = seededRandom(1)
  const writer = await new Writer(join(root, 'written')).open()
  for (let commit = 1; commit <= 200; commit++) {
    if (commit === 190) await writer.reopen()
    const key = logKey(commit, 0)
    await writer.write([[key, sealedValue(key, random, 1000)]])
  }
  await writer.close()
  const log = writer.source('log')
  const table = [...log.files.keys()].filter((name) => name.endsWith('.ldb')).toSorted()[0]!
  const blocks = await blocksOf(root, log.files.get(table)!)
  const { offset, size } = blocks.at(-1)!
  const limits = { after: null, through: null, sequenceMax: SEQUENCE_MAX, filter: null, offset }
  const { last } = checkBlock(log.files.get(table)!.subarray(offset, offset + size), limits)
  return { root, log, table, blocks, lastCommit: Number(last!.readBigUInt64BE()) }
}

/** The data blocks of a table. */
export async function blocksOf(root: string, bytes: Buffer): Promise<readonly IndexedBlock[]> {
  const file = (await TolerantFile.open(nodeDisk, join(place(root, 't', new Map([['t', bytes]])), 't'), 't'))!
  const { blocks: found } = await readStructure(file, file.size)
  await file.close()
  return found!
}

export function changed(source: Source, change: (files: Map<string, Buffer>) => void): Map<string, Buffer> {
  const files = new Map([...source.files].map(([name, bytes]) => [name, Buffer.from(bytes)]))
  change(files)
  return files
}

export const nameOf = (files: ReadonlyMap<string, Buffer>, part: string) =>
  [...files.keys()].findLast((name) => name.includes(part))!
