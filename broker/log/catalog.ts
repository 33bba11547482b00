/**
 * The streams that exist, `catalog.json`. Replaced atomically before a new stream's first record.
 *
 *   { "format": 1, "streams": [ { "name": "events", "chain": "main", "firstId": 0, "partitions": 4 }, … ] }
 *
 * A stream's partitions have the ids firstId to firstId + partitions - 1 in its chain's keys; ids are never used again. The
 * number of partitions is fixed: with another one, a key's later events would land beside its earlier ones.
 */
import { join } from 'node:path'
import { CorruptLogError, StreamDefinitionError } from '../errors.ts'
import type { Disk } from '../storage/store.ts'
import { NOTE_ID } from './commit-key.ts'
import type { StreamPolicy } from './stream-policy.ts'

export interface CatalogStream {
  readonly name: string
  readonly chain: string
  readonly firstId: number
  readonly partitions: number
}

export interface StreamDefinition {
  readonly name: string
  readonly partitions: number
  /** Without it: kept for ever, unless the disk is full. */
  readonly policy?: StreamPolicy
}

interface CatalogFile {
  readonly format: 1
  readonly streams: readonly CatalogStream[]
}

export const MAIN_CHAIN = 'main'
/** Streams that are compacted: their segments are written anew, and no others with them. */
const COMPACTED_CHAIN = 'compacted'
export const CATALOG_FILE = 'catalog.json'

/** @returns no streams where there is no catalog. */
export async function readCatalog(disk: Disk, directory: string): Promise<CatalogStream[]> {
  const path = join(directory, CATALOG_FILE)
  const file = await disk.readFile(path)
  if (file === undefined) return []
  try {
    const catalog = JSON.parse(file.toString('utf8')) as CatalogFile
    if (catalog.format !== 1 || !Array.isArray(catalog.streams))
      throw new Error(`it has format ${catalog.format}`)
    return [...catalog.streams]
  } catch (error) {
    throw new CorruptLogError(path, (error as Error).message, error)
  }
}

/**
 * Adds the streams that are new.
 * @returns all streams, and whether the file has to be written.
 * @throws StreamDefinitionError where a definition contradicts what exists.
 */
export function mergeCatalog(
  streams: readonly CatalogStream[],
  wanted: readonly StreamDefinition[],
): { streams: CatalogStream[]; isChanged: boolean } {
  const merged = [...streams]
  let nextId = Math.max(0, ...streams.map((stream) => stream.firstId + stream.partitions))
  for (const { name, partitions, policy } of wanted) {
    const existing = merged.find((stream) => stream.name === name)
    if (existing === undefined) {
      if (nextId + partitions > NOTE_ID)
        throw new StreamDefinitionError(name, 'no partition ids are left', '')
      // fixed from now on: a stream that is compacted later is so where it stands
      const chain = policy?.compacts === true ? COMPACTED_CHAIN : MAIN_CHAIN
      merged.push({ name, chain, firstId: nextId, partitions })
      nextId += partitions
    } else if (existing.partitions !== partitions) {
      throw new StreamDefinitionError(
        name,
        `it has ${existing.partitions} partitions, the configuration says ${partitions}`,
        `set partitions: ${existing.partitions}, or give the new layout another name`,
      )
    }
  }
  return { streams: merged, isChanged: merged.length !== streams.length }
}

export async function writeCatalog(
  disk: Disk,
  directory: string,
  streams: readonly CatalogStream[],
): Promise<void> {
  const catalog: CatalogFile = { format: 1, streams }
  await disk.replaceFile(join(directory, CATALOG_FILE), Buffer.from(`${JSON.stringify(catalog, null, 1)}\n`))
}
