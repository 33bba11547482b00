/**
 * What stands in segment directories when nothing else is there to say it: commits and the catalog, read from LevelDB's files. For a
 * manifest or a catalog that is lost; no segment is opened, none is changed.
 */
import { join } from 'node:path'
import { salvageStore } from '../storage/level-files/salvage-store.ts'
import type { Disk, Entry } from '../storage/store.ts'
import type { CatalogStream } from './catalog.ts'
import { CATALOG_STATE } from './catalog-state.ts'
import { commitOf, idOf, NOTE_ID } from './commit-key.ts'
import { decodeNote } from './note.ts'
import { baseOffsetOf, batchFault, nextOffsetOf, recordCountOf } from './record-batch.ts'
import { segmentDirectory } from './segment.ts'

export interface SurveyedSegment {
  readonly id: string
  /** 0 where nothing could be read. */
  readonly firstCommit: number
  readonly lastCommit: number
  readonly bytes: number
  /** It begins with its head: it was written from its first commit on. */
  readonly hasHead: boolean
  /** Commits or offsets are missing in it. */
  readonly hasGaps: boolean
  /** The catalog as its newest note has it. */
  readonly catalog: readonly CatalogStream[] | null
}

const KEY_BYTES = 12

/** Ids of all segment directories of a chain, as they were given. */
export async function segmentIds(disk: Disk, chainDirectory: string): Promise<string[]> {
  return (await disk.list(chainDirectory)).filter((name) => /^[0-9a-f]{8}$/.test(name)).sort()
}

export async function surveySegment(
  disk: Disk,
  chainDirectory: string,
  id: string,
): Promise<SurveyedSegment> {
  let firstCommit = 0
  let lastCommit = 0
  let bytes = 0
  let hasHead = false
  let hasGaps = false
  let catalog: readonly CatalogStream[] | null = null
  for await (const { key, value } of entriesOf(disk, segmentDirectory(chainDirectory, id))) {
    if (key.length !== KEY_BYTES) continue
    const commit = commitOf(key)
    if (firstCommit === 0) firstCommit = commit
    if (commit > lastCommit + 1 && lastCommit > 0) hasGaps = true
    lastCommit = commit
    bytes += key.length + value.length
    if (idOf(key) !== NOTE_ID) {
      if (batchFault(value) === null)
        hasGaps ||= recordCountOf(value) < nextOffsetOf(value) - baseOffsetOf(value)
      continue
    }
    const note = decodeNote(value)
    if (typeof note === 'string') continue
    if (note.head !== undefined && commit === firstCommit) hasHead = true
    const named = note.states?.[CATALOG_STATE] ?? note.head?.states[CATALOG_STATE]
    if (Array.isArray(named)) catalog = named as CatalogStream[]
  }
  return { id, firstCommit, lastCommit, bytes, hasHead, hasGaps, catalog }
}

async function* entriesOf(disk: Disk, directory: string): AsyncGenerator<Entry> {
  if (disk.hasLevelFiles) {
    yield* salvageStore(disk, directory, { keysAreWrittenOnce: true })
    return
  }
  // one that cannot be opened has nothing to say
  const options = { writeBufferBytes: 65_536, createIfMissing: true }
  const store = await disk.openStore(directory, options).catch(() => null)
  if (store === null) return
  try {
    yield* await store.range({
      from: Buffer.alloc(0),
      to: Buffer.alloc(KEY_BYTES + 1, 0xff),
      bytesMax: 2 ** 31,
    })
  } finally {
    await store.close()
  }
}

/**
 * Which of the segments are the log: where some hold the same commits, one was written anew from the others, and the crash came before the
 * one or the others were removed. Those that it was made from are taken while all of them are there.
 */
export function chooseSegments(found: readonly SurveyedSegment[]): SurveyedSegment[] {
  const sorted = found
    .filter(({ firstCommit }) => firstCommit > 0)
    .toSorted((a, b) => a.firstCommit - b.firstCommit || b.lastCommit - a.lastCommit)
  const chosen: SurveyedSegment[] = []
  for (let i = 0; i < sorted.length; ) {
    const widest = sorted[i]!
    let end = i + 1
    while (end < sorted.length && sorted[end]!.firstCommit <= widest.lastCommit) end++
    const inside = sorted.slice(i + 1, end)
    chosen.push(...(coversAll(widest, inside) ? inside : [widest]))
    // what only begins inside the widest one goes on after it
    for (const segment of inside)
      if (segment.lastCommit > widest.lastCommit && !chosen.includes(segment)) chosen.push(segment)
    i = end
  }
  return chosen
}

function coversAll(
  { firstCommit, lastCommit }: SurveyedSegment,
  inside: readonly SurveyedSegment[],
): boolean {
  let next = firstCommit
  for (const segment of inside) {
    if (segment.firstCommit !== next) return false
    next = segment.lastCommit + 1
  }
  return inside.length > 0 && next > lastCommit
}

/** The catalog that the newest segment of any chain knows; null where none does. */
export async function recoverCatalog(
  disk: Disk,
  dataDirectory: string,
): Promise<readonly CatalogStream[] | null> {
  let best: readonly CatalogStream[] | null = null
  for (const chain of await disk.list(join(dataDirectory, 'log'))) {
    const directory = join(dataDirectory, 'log', chain)
    for (const id of (await segmentIds(disk, directory)).toReversed()) {
      const { catalog } = await surveySegment(disk, directory, id)
      if (catalog === null) continue
      // streams are only ever added
      if (best === null || catalog.length > best.length) best = catalog
      break
    }
  }
  return best
}
