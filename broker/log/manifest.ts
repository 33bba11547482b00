/**
 * A chain's manifest, `manifest.json`: which segments are the log, and what was decided about it. Replaced atomically (temp,
 * fsync, rename, fsync of the directory); a segment directory that it does not list is not the log's. On disk: fields are only
 * added.
 *
 *   { "format": 1, "segments": [ { "id": "00000007", "firstCommit": 1, "lastCommit": 812, "bytes": 33554620,
 *                                  "sealedAt": 1793448000000, "isRewritten": true },
 *                                { "id": "00000002", "firstCommit": 813 } ],
 *     "starts": [ [0, 120], [1, 97] ], "cleaned": { "states": [ [812, 1793448000000] ] },
 *     "holes": [ { "id": 1, "from": 40, "to": 44, "reason": "…", "at": 1793448000000 } ],
 *     "dropped": { "events": 14 } }
 *
 * Segments stand in commit order. The last one is active: it has no lastCommit. Times are ms since 1970.
 */
import { join } from 'node:path'
import { CorruptLogError } from '../errors.ts'
import type { Disk } from '../storage/store.ts'

export interface ManifestSegment {
  readonly id: string
  readonly firstCommit: number
  /** Absent for the active segment. */
  readonly lastCommit?: number
  /** Bytes of the stored batches, of a sealed segment. */
  readonly bytes?: number
  /** When it was sealed; absent while no trusted clock has said so. Retention by time counts from here. */
  readonly sealedAt?: number
  /** Commits and offsets may be missing in it: retention or compaction took them. */
  readonly isRewritten?: boolean
  /** It was damaged, and is what could be read of it: what is gone is among the holes. */
  readonly isSalvaged?: boolean
}

/** Offsets that were written once and cannot be read any more. */
export interface Hole {
  /** The catalog's id of the partition. */
  readonly id: number
  readonly from: number
  /** The first offset after it. */
  readonly to: number
  readonly reason: string
  /** When it was found. */
  readonly at: number
}

/** What is known of a chain beside its segments. */
export interface ChainFacts {
  /** Log start offsets by partition id, where they are not simply the first offset that is there. */
  readonly starts?: readonly (readonly [id: number, offset: number])[]
  /**
   * By stream: up to which commit older values of keys are gone, and since when (null: no trusted clock yet). Rising in
   * both; a tombstone may go once the first entry at or above its commit is older than the stream's delay.
   */
  readonly cleaned?: Readonly<Record<string, readonly (readonly [commit: number, at: number | null])[]>>
  readonly holes?: readonly Hole[]
  /** By stream: records removed before every upstream had them. */
  readonly dropped?: Readonly<Record<string, number>>
}

export interface Manifest extends ChainFacts {
  readonly format: 1
  readonly segments: readonly ManifestSegment[]
}

export const MANIFEST_FILE = 'manifest.json'

export async function readManifest(disk: Disk, directory: string): Promise<Manifest | undefined> {
  const path = join(directory, MANIFEST_FILE)
  const file = await disk.readFile(path)
  if (file === undefined) return undefined
  let manifest: Manifest
  try {
    manifest = (JSON.parse(file.toString('utf8')) ?? {}) as Manifest
  } catch (error) {
    throw new CorruptLogError(path, 'it is not JSON', error)
  }
  const fault = manifestFault(manifest)
  if (fault !== null) throw new CorruptLogError(path, fault)
  return manifest
}

export async function writeManifest(disk: Disk, directory: string, manifest: Manifest): Promise<void> {
  const fault = manifestFault(manifest)
  if (fault !== null) throw new CorruptLogError(join(directory, MANIFEST_FILE), `not written: ${fault}`)
  await disk.replaceFile(
    join(directory, MANIFEST_FILE),
    Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`),
  )
}

/** Checked just before a write and just after a read. */
export function manifestFault(manifest: Manifest): string | null {
  if (manifest.format !== 1) return `it has format ${manifest.format}, this Headwater reads 1`
  if (!Array.isArray(manifest.segments) || manifest.segments.length === 0) return 'it lists no segment'
  const ids = new Set<string>()
  for (const [i, segment] of manifest.segments.entries()) {
    if (ids.has(segment.id)) return `it lists segment ${segment.id} twice`
    ids.add(segment.id)
    const isActive = i === manifest.segments.length - 1
    if (isActive !== (segment.lastCommit === undefined))
      return `segment ${segment.id}: only the last is active`
    const next = manifest.segments[i + 1]
    if (next !== undefined && next.firstCommit <= (segment.lastCommit ?? 0)) {
      return `segments ${segment.id} and ${next.id} overlap`
    }
  }
  return null
}

/** The id of the segment after the highest in use: eight hexadecimal digits. */
export function nextSegmentId(used: Iterable<string>): string {
  let highest = 0
  for (const id of used) highest = Math.max(highest, Number.parseInt(id, 16) || 0)
  return (highest + 1).toString(16).padStart(8, '0')
}
