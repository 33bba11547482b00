/** What `SegmentCache` knows of a segment that is open. */
import type { OpenSegment } from './segment.ts'

/** One that is read from its files is closed this long after it was opened: there may be room for LevelDB again, which is faster. */
const FROM_FILES_MS_MAX = 5_000

/** A segment that is open, or about to be. */
export interface CacheEntry {
  readonly opening: Promise<OpenSegment>
  /** Readers at work, and one for the writer of the active segment. */
  users: number
  /**
   * Its store was the active one: LevelDB holds up to two write buffers for it. Closed with its last reader, so that the next
   * one opens it without them.
   */
  wasActive: boolean
  /** performance.now() from which on it is closed with its last reader; Infinity but for one that is read from its files. */
  expiresAt: number
  /** Its directory is going to be removed: closed with its last reader. */
  isRetired: boolean
  /** Resolves when it is closed. */
  readonly ended: Promise<void>
  readonly end: () => void
}

export function cacheEntry(opening: Promise<OpenSegment>, users: number): CacheEntry {
  const entry = {
    opening,
    users,
    wasActive: false,
    expiresAt: Number.POSITIVE_INFINITY,
    isRetired: false,
    ...ending(),
  }
  opening.then(
    ({ isFromFiles }) => {
      if (isFromFiles) entry.expiresAt = performance.now() + FROM_FILES_MS_MAX
    },
    () => undefined,
  )
  return entry
}

/** A promise, and what resolves it. */
export function ending(): { readonly ended: Promise<void>; readonly end: () => void } {
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  return { ended, end }
}
