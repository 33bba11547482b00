/** Over some damage LevelDB ends the process: a table that was being opened when it ended is built again, so that the next start comes up. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { openTableStore } from '../../../broker/tables/table-store.ts'
import { temporaryDirectory } from '../log/support.ts'

const LOG = {
  identity: { incarnation: 'i' },
  stream: () => ({ partitions: [{ durableOffset: 0 }] }),
} as unknown as Parameters<typeof openTableStore>[2]

it('a table that two processes in a row ended over is built again, once', async () => {
  const directory = join(temporaryDirectory(), 'events')
  const open = (disk: Disk) => openTableStore(disk, directory, LOG, 'events', 65_536)
  const first = await open(nodeDisk)
  if (typeof first === 'string') throw new Error(first)
  await first.store.close()
  const again = await open(nodeDisk)
  expect(typeof again, 'an opening that is over leaves nothing').toBe('object')
  if (typeof again !== 'string') await again.store.close()

  const end = () =>
    new Promise<void>((resolve) => {
      void open({
        ...nodeDisk,
        openStore: () => {
          resolve()
          return new Promise(() => {})
        },
      })
    })
  await end()
  await end()
  expect(await open(nodeDisk)).toMatch(/the process ended 2 times while it was opened/)
  await end()
  const third = await open(nodeDisk)
  expect(typeof third).toBe('object')
  if (typeof third !== 'string') await third.store.close()
})

it('a table is opened without a mark where there is no room for one', async () => {
  const directory = join(temporaryDirectory(), 'events')
  const full: Disk = {
    ...nodeDisk,
    replaceFile: async () => {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    },
  }
  const opened = await openTableStore(full, directory, LOG, 'events', 65_536)
  expect(typeof opened).toBe('object')
  if (typeof opened !== 'string') await opened.store.close()
})
