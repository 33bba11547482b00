/** Many sources in one order: each is opened when the merge comes to its first key, and closed at its end. */
import type { EntrySource, SourceEntry } from './entry-source.ts'
import { compareInternal } from './internal-key.ts'

/** Entries in the order of their internal keys, so the newest of each user key first. */
export async function* mergeSources(sources: readonly EntrySource[]): AsyncGenerator<SourceEntry> {
  const waiting = sources.toSorted((a, b) => compare(b.lowerBound, a.lowerBound))
  const open: EntrySource[] = []
  try {
    for (;;) {
      let least = leastOf(open)
      while (
        waiting.length > 0 &&
        (least === null || compare(waiting.at(-1)!.lowerBound, least.head!.internalKey) <= 0)
      ) {
        const source = waiting.pop()!
        open.push(source)
        await source.open()
        least = leastOf(open)
      }
      if (least === null) return
      yield least.head!
      const wait = least.next()
      if (wait !== undefined) await wait
      if (least.head !== null) continue
      open.splice(open.indexOf(least), 1)
      await least.close()
    }
  } finally {
    for (const source of open) await source.close()
  }
}

/** Few are open at a time: tables of a level do not overlap. */
function leastOf(open: readonly EntrySource[]): EntrySource | null {
  let least: EntrySource | null = null
  for (const source of open) {
    if (source.head === null) continue
    if (least === null || compare(source.head.internalKey, least.head!.internalKey) < 0) least = source
  }
  return least
}

function compare(a: Buffer, b: Buffer): number {
  return compareInternal(a, a.length, b, b.length)
}
