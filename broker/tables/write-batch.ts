/** What is pending, as one batch with the positions that belong to it, so that a table always says how far it is. */
import type { Store, WriteBatch } from '../storage/store.ts'
import type { PendingChanges } from './pending-changes.ts'
import { entryKey } from './table-entry.ts'
import { encodeMeta, META_KEY, type TableMeta } from './table-meta.ts'

/** Changes handed to LevelDB between two rests. */
const TURN_CHANGES = 500

/**
 * @param starts by partition: what is below is no part of the table any more
 * @param rest lets other work of this process have a turn
 */
export async function batchOf(
  store: Store,
  pending: PendingChanges,
  meta: TableMeta,
  starts: readonly number[],
  rest: () => Promise<void>,
): Promise<WriteBatch> {
  const batch = store.batch()
  let changes = 0
  for (const [key, { partition, offset, hash, place }] of pending.entries()) {
    if (place === null || offset < starts[partition]!) {
      batch.delete(entryKey(Buffer.from(key, 'latin1')))
      meta.keys.delete(hash, batch)
    } else {
      const { slab, from, keyFrom, end } = place
      batch.put(slab.subarray(keyFrom, end), slab.subarray(from, keyFrom))
      meta.keys.put(hash, batch)
    }
    if (++changes % TURN_CHANGES === 0) await rest()
  }
  batch.put(META_KEY, encodeMeta(meta))
  return batch
}
