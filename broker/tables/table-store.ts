/**
 * The LevelDB of one table: opened, and refused where it is not the table of this log. What a start can find, and what follows:
 *
 * | found                                                   | decision                                          |
 * |---------------------------------------------------------|---------------------------------------------------|
 * | nothing                                                 | a new table: built from the log                    |
 * | positions below the log's durable offsets               | the rest is applied                                |
 * | no positions beside entries, or damaged ones            | built again                                        |
 * | another format, incarnation or number of partitions     | built again                                        |
 * | positions beyond the log's durable offsets              | built again: the log is an older copy               |
 * | LevelDB cannot open it                                  | built again                                        |
 * | two processes in a row ended while they opened it        | built again: over some damage LevelDB ends the process |
 * | the disk is full or read-only, no permission, locked    | tried again with growing pauses; nothing is removed |
 */
import { dirname, join } from 'node:path'
import { DataDirectoryLockedError } from '../errors.ts'
import type { Disk, Store } from '../storage/store.ts'
import { KeySample } from './key-sample.ts'
import { END_ENTRY_KEY, FIRST_ENTRY_KEY } from './table-entry.ts'
import type { TableLog, TablePartition } from './table-log.ts'
import { decodeMeta, emptyMeta, META_KEY, type TableMeta } from './table-meta.ts'

const STORE_OPTIONS = {
  createIfMissing: true,
  isCompressed: true,
  /** LevelDB maps the files that it reads, 64 at the most. */
  fileBytes: 1024 * 1024,
}

/** Stands beside LevelDB's files while they are opened, with how often it was tried; LevelDB leaves alone what it does not know. */
const MARKER = 'opening'
/** One may have been a power cut. */
const TRIES_MAX = 2

export interface OpenTable {
  readonly store: Store
  readonly meta: TableMeta
  readonly isNew: boolean
}

/** @returns the table, or why it has to be removed and built again. @throws where the disk is at fault. */
export async function openTableStore(
  disk: Disk,
  directory: string,
  log: TableLog,
  stream: string,
  writeBufferBytes: number,
): Promise<OpenTable | string> {
  await disk.makeDirectory(directory)
  const marker = join(directory, MARKER)
  const tries = (await disk.readFile(marker))?.length ?? 0
  if (tries >= TRIES_MAX) {
    await unmark(disk, marker)
    return `the process ended ${tries} times while it was opened`
  }
  // without room for it the table is opened all the same
  await disk.replaceFile(marker, Buffer.alloc(tries + 1, '|')).catch(() => undefined)
  try {
    return await openMarked(disk, directory, log, stream, writeBufferBytes)
  } finally {
    await unmark(disk, marker)
  }
}

async function unmark(disk: Disk, marker: string): Promise<void> {
  await disk.remove(marker)
  await disk.syncDirectory(dirname(marker))
}

async function openMarked(
  disk: Disk,
  directory: string,
  log: TableLog,
  stream: string,
  writeBufferBytes: number,
): Promise<OpenTable | string> {
  let store: Store
  try {
    store = await disk.openStore(directory, { ...STORE_OPTIONS, writeBufferBytes })
  } catch (error) {
    if (isOfTheDisk(error)) throw error
    return (error as Error).message
  }
  const found = await readMeta(store, log, stream).catch(async (error: Error) => {
    await store.close().catch(() => undefined)
    if (isOfTheDisk(error)) throw error
    return error.message
  })
  if (typeof found !== 'string') return { store, ...found }
  await store.close()
  return found
}

/** Removes a table, so that the next one at its place begins empty. */
export async function removeTable(disk: Disk, directory: string): Promise<void> {
  await disk.remove(directory)
  await disk.syncDirectory(dirname(directory))
}

async function readMeta(
  store: Store,
  log: TableLog,
  stream: string,
): Promise<{ meta: TableMeta; isNew: boolean } | string> {
  const { incarnation } = log.identity
  const { partitions } = log.stream(stream)
  const value = await store.get(META_KEY)
  if (value === undefined) {
    const range = { from: FIRST_ENTRY_KEY, to: END_ENTRY_KEY, bytesMax: 1 }
    if ((await store.range(range)).length > 0) return 'it has entries and no positions'
    return { meta: emptyMeta(incarnation, partitions.length), isNew: true }
  }
  const stored = decodeMeta(value)
  if (typeof stored === 'string') return stored
  if (stored.incarnation !== incarnation) return 'it was built from another log'
  const fault = beyondLog(stored, partitions)
  if (fault !== null) return fault
  const { shift, ...meta } = stored
  return { meta: { ...meta, keys: await KeySample.read(store, shift) }, isNew: false }
}

function beyondLog(meta: Pick<TableMeta, 'next'>, partitions: readonly TablePartition[]): string | null {
  if (meta.next.length !== partitions.length) {
    return `it has ${meta.next.length} partitions, the stream ${partitions.length}`
  }
  for (const [i, { durableOffset }] of partitions.entries()) {
    if (meta.next[i]! > durableOffset) {
      return `it is ahead of the log: offset ${meta.next[i]} of partition ${i}, and the log ends at ${durableOffset}`
    }
  }
  return null
}

/** The disk is full, read-only or another's: removing the table would not help, and later it may be whole. */
function isOfTheDisk(error: unknown): boolean {
  if (error instanceof DataDirectoryLockedError) return true
  const { message, code } = error as NodeJS.ErrnoException
  const codes = /^(ENOSPC|EROFS|EACCES|EPERM|EMFILE|ENFILE|ENOMEM|EDQUOT)$/
  // LevelDB passes on the system's words alone
  const words =
    /no space left|read-only file|permission denied|not permitted|too many open|quota|allocate memory/i
  return codes.test(code ?? '') || words.test(message)
}
