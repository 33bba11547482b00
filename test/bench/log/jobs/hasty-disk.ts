/** The disk without its fsyncs: makes a log that is measured afterwards in a fraction of the time. */
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk, Store, WriteBatch } from '../../../../broker/storage/store.ts'

export const hastyDisk: Disk = {
  ...nodeDisk,
  openStore: async (directory, options) => hasty(await nodeDisk.openStore(directory, options)),
}

function hasty(store: Store): Store {
  return {
    batch(): WriteBatch {
      const batch = store.batch()
      return {
        put: (key, value) => batch.put(key, value),
        delete: (key) => batch.delete(key),
        write: () => batch.write({ sync: false }),
      }
    },
    get: (key) => store.get(key),
    getMany: (keys) => store.getMany(keys),
    range: (options) => store.range(options),
    scan: (from, to) => store.scan(from, to),
    close: () => store.close(),
  }
}
