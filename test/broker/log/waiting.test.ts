/** How long appends have waited for a commit: what a watchdog goes by. */
import { expect, it, vi } from 'vitest'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog } from './support.ts'

const WAIT = { timeout: 20_000, interval: 1 }

it('grows while a commit does not come to its end, whatever is appended meanwhile', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const log = await openLog(disk)
  expect(log.status().waitingMs).toBe(0)
  const gate = disk.hold('sync')
  const first = append(log, 0, ['a'])
  await gate.reached
  await vi.waitFor(() => expect(log.status().waitingMs).toBeGreaterThan(20), WAIT)
  const before = log.status().waitingMs
  const second = append(log, 1, ['b'])
  await vi.waitFor(() => expect(log.status().waitingMs).toBeGreaterThan(before + 5), WAIT)
  gate.release()
  await Promise.all([first, second])
  expect(log.status().waitingMs).toBe(0)
})

it('begins anew with each commit: a log that was long at rest has not waited', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const log = await openLog(disk)
  const openedAt = performance.now()
  await append(log, 0, ['a'])
  await vi.waitFor(() => expect(performance.now() - openedAt).toBeGreaterThan(300), WAIT)
  const gate = disk.hold('sync')
  const appendedAt = performance.now()
  const done = append(log, 0, ['b'])
  const { waitingMs } = log.status()
  expect(waitingMs).toBeLessThanOrEqual(performance.now() - appendedAt)
  gate.release()
  await done
})

it('is nothing while the storage is known to be away', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const log = await openLog(disk)
  disk.fail({ on: 'sync', times: Number.POSITIVE_INFINITY, code: 'EIO' })
  await expect(append(log, 0, ['a'])).rejects.toThrow()
  expect(log.status()).toMatchObject({ condition: 'failed', waitingMs: 0 })
})
