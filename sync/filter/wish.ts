/** What an upstream's filters say of single records, for the verification of what it holds. */
import type { RecordWish } from '../audit/source.ts'
import type { UpstreamConfig } from '../config.ts'
import { EVERYTHING, Selection } from './selection.ts'

const NO_KEY = Buffer.alloc(0)

/** @returns what is to be said of a stream's records; null where all of them go */
export function recordWishes(config: UpstreamConfig): (stream: string) => RecordWish | null {
  const selection = new Selection({ ...EVERYTHING, ...config })
  return (stream) => {
    if (!selection.wants(stream)) {
      return { leavesOut: () => false, mayPassOver: 'this upstream does not get the stream any more' }
    }
    const filter = selection.filterOf(stream)
    if (filter === null) return null
    const { keep, newestPerKey } = filter
    return {
      leavesOut({ offset, timestamp, key, value }) {
        const keyBytes = key?.length ?? -1
        // A filter looks at the key and the offset; the key stands at the front of what it is given.
        const scanned = { offset, timestamp, start: 0, end: 0, fieldsAt: 0, keyAt: 0, keyBytes }
        return keep !== null && !keep({ ...scanned, isTombstone: value === null }, key ?? NO_KEY)
      },
      mayPassOver: newestPerKey ? 'of what waited only the newest record of each key went' : null,
    }
  }
}
