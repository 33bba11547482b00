/**
 * What can be read of a part whose checksum is wrong: every entry that stands in its place. A length that is damaged hides what follows
 * it up to the next restart. Whether an entry is as it was written only the caller can say.
 */
import { BlockCursor, isInPlace, type KeyLimits } from './block.ts'
import type { SourceEntry } from './entry-source.ts'
import { compareInternal, typeAt, VALUE } from './internal-key.ts'

/** @param content the block without its trailer, or a stretch of the file that begins where a block does (`isOpen`) */
export function suspectEntries(content: Buffer, isOpen: boolean, limits: KeyLimits): SourceEntry[] {
  const cursor = new BlockCursor(content, isOpen)
  const starts = startsOf(cursor)
  const hasRestarts = starts.length > 0
  const open = hasRestarts ? cursor : new BlockCursor(content, true)
  const found: SourceEntry[] = []
  for (const [i, start] of (hasRestarts ? starts : [0]).entries()) {
    const end = starts[i + 1] ?? open.entriesEnd
    open.seek(start)
    while (open.next() && open.valueEnd <= end) {
      if (!isInPlace(open, limits)) continue
      const value = typeAt(open.key, open.keyLength) === VALUE ? open.value : undefined
      found.push({ internalKey: open.keyCopy(), value })
      if (open.valueEnd === end) break
    }
  }
  found.sort((a, b) => compare(a.internalKey, b.internalKey))
  return found.filter(
    ({ internalKey }, i) => i === 0 || compare(found[i - 1]!.internalKey, internalKey) !== 0,
  )
}

/** The restarts that can be some: in order, from 0 on. */
function startsOf(cursor: BlockCursor): number[] {
  const starts: number[] = []
  for (let i = 0; i < cursor.restarts; i++) {
    const start = cursor.restart(i)
    if (start >= cursor.entriesEnd || start < (starts.at(-1) ?? -1) + 1) continue
    starts.push(start)
  }
  return starts
}

function compare(a: Buffer, b: Buffer): number {
  return compareInternal(a, a.length, b, b.length)
}
