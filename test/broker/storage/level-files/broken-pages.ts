/** A disk on which pages of a file cannot be read, as on a card that has worn out. */
import { basename } from 'node:path'
import type { Disk } from '../../../../broker/storage/store.ts'

const PAGE_BYTES = 4096

/** @param places bytes in the file, each of which breaks its page */
export function withBrokenPages(below: Disk, file: string, places: readonly number[]): Disk {
  const pages = places.map((at) => at - (at % PAGE_BYTES))
  return {
    ...below,
    openFile: async (path) => {
      const opened = await below.openFile(path)
      if (opened === undefined || basename(path) !== file) return opened
      return {
        size: opened.size,
        read: async (offset, length, into) => {
          if (pages.some((page) => page < offset + length && offset < page + PAGE_BYTES))
            throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
          return opened.read(offset, length, into)
        },
        close: () => opened.close(),
      }
    },
  }
}
