/**
 * The archive's truth: which log it belongs to, where it stands, and how many bytes of which file count. JSON, replaced
 * whole: manifest.tmp is written and synced, renamed over manifest.json, and the directory synced. Files with a number
 * below `file` are complete.
 *
 *   {"format":1,"edge":"pi-7","incarnation":"…","archive":"…","file":3,"fileBytes":1048,
 *    "positions":{"events/0":[42,3735928559],"events/1":[7,null]}}      position := [next offset, proof (proof.ts)]
 */
import { join } from 'node:path'
import { ArchiveDamagedError } from '../errors.ts'
import type { ArchiveFiles } from './files.ts'

const FORMAT = 1
const MANIFEST = 'manifest.json'
const TEMPORARY = 'manifest.tmp'

export interface Position {
  readonly next: number
  readonly proof: number | null
}

export interface Manifest {
  readonly edge: string
  readonly incarnation: string
  /** A UUID made when the archive was: a new, empty archive in its place has another. */
  readonly archive: string
  /** The number of the file being written; 0 before the first. */
  readonly file: number
  /** Its bytes that count; what lies behind them is of a round that was not completed. */
  readonly fileBytes: number
  /** By `partitionKey`. */
  readonly positions: ReadonlyMap<string, Position>
}

export async function writeManifest(
  files: ArchiveFiles,
  directory: string,
  manifest: Manifest,
): Promise<void> {
  const positions = Object.fromEntries(
    [...manifest.positions].map(([key, { next, proof }]) => [key, [next, proof]] as const),
  )
  const text = JSON.stringify({ format: FORMAT, ...manifest, positions })
  await files.writeSynced(join(directory, TEMPORARY), Buffer.from(text, 'utf8'), 0)
  await files.rename(join(directory, TEMPORARY), join(directory, MANIFEST))
  await files.syncDirectory(directory)
}

/** @returns null when the directory has none. */
export async function readManifest(files: ArchiveFiles, directory: string): Promise<Manifest | null> {
  const place = join(directory, MANIFEST)
  const bytes = await files.read(place)
  if (bytes === null) return null
  try {
    return parse(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw new ArchiveDamagedError(place, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function parse(value: Record<string, unknown>): Manifest {
  if (value.format !== FORMAT) throw new Error(`its format is ${String(value.format)}, not ${FORMAT}`)
  const text = (name: string): string => {
    const field = value[name]
    if (typeof field !== 'string') throw new Error(`"${name}" is not text`)
    return field
  }
  const positions = new Map<string, Position>()
  for (const [key, pair] of Object.entries((value.positions ?? {}) as Record<string, unknown>)) {
    if (!Array.isArray(pair)) throw new Error(`the position of ${key} is not a pair`)
    const [next, proof] = pair as unknown[]
    positions.set(key, {
      next: count(`the position of ${key}`, next),
      proof: proof === null ? null : count(`the proof of ${key}`, proof),
    })
  }
  return {
    edge: text('edge'),
    incarnation: text('incarnation'),
    archive: text('archive'),
    file: count('"file"', value.file),
    fileBytes: count('"fileBytes"', value.fileBytes),
    positions,
  }
}

function count(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error(`${name} is not a whole number`)
  return value as number
}
