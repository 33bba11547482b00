/** Scans of segments that readers keep between two reads, and that are closed for them when the segment goes. */
import type { EntryScan, EntryVisitor, KeyRange } from '../storage/entry-scan.ts'
import { liveFiles, scanTables } from '../storage/level-files/scan-files.ts'
import type { Disk } from '../storage/store.ts'
import { commitKey, commitOf } from './commit-key.ts'
import { namingDamage } from './damaged-segment.ts'
import type { Segment } from './segment.ts'

export class HeldScan {
  readonly segment: Segment
  /** The last that it brings: the segment's, or of one that is written the last one in a table. */
  readonly lastCommit: number
  readonly #scan: EntryScan
  #step: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | null = null
  /** Called once when it is closed. */
  onClose: () => void = () => {}

  constructor(segment: Segment, scan: EntryScan, lastCommit: number) {
    this.segment = segment
    this.lastCommit = lastCommit
    this.#scan = scan
  }

  /**
   * As `EntryScan.next`, one call at a time.
   * @returns null where it was closed: somewhere else is to be read on
   * @throws DamagedSegmentError
   */
  async next(bytesMax: number, visit: EntryVisitor): Promise<number | null> {
    if (this.#closed !== null) return null
    const step = namingDamage(this.segment, () => this.#scan.next(bytesMax, visit))
    this.#step = step.catch(() => {})
    return step
  }

  /** After the read under way. */
  close(): Promise<void> {
    this.#closed ??= this.#step.then(() => this.#scan.close()).finally(() => this.onClose())
    return this.#closed
  }
}

/** Those of a chain. */
export class HeldScans {
  readonly #all = new Set<HeldScan>()

  add(held: HeldScan): HeldScan {
    this.#all.add(held)
    held.onClose = () => this.#all.delete(held)
    return held
  }

  async closeOf(segment: Segment): Promise<void> {
    for (const held of [...this.#all]) if (held.segment.id === segment.id) await held.close()
  }

  async closeAll(): Promise<void> {
    for (const held of [...this.#all]) await held.close()
  }
}

/**
 * A scan of what stands in the tables of a store that is written. A commit is written at once, so that tables have all of it or nothing.
 * @returns null where they have nothing of the range
 * @throws DamagedFilesError
 */
export async function openTables(
  disk: Disk,
  directory: string,
  { from, to }: KeyRange,
): Promise<{ scan: EntryScan; lastCommit: number } | null> {
  const { version } = await liveFiles(disk, directory)
  const inTables = version.live.map(({ largest }) => commitOf(largest))
  const lastCommit = Math.min(commitOf(to) - 1, Math.max(...inTables))
  if (lastCommit < commitOf(from)) return null
  return {
    scan: scanTables(disk, directory, { from, to: commitKey(lastCommit + 1, 0) }, version),
    lastCommit,
  }
}
