/** A table that cannot be opened: whoever verified, repaired or waited for it waited for ever, also after they had left. */
import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import { repairAll, verifyAll } from '../../../broker/operations/verifying.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { openLog, until } from '../log/support.ts'
import { change, openTables, STREAM, TABLE_PATH } from './support.ts'

const OTHER = 'others'
const limits = { waitMsMax: 200 }

async function logOn(disk: Disk) {
  const streams = [STREAM, OTHER].map((name) => ({ name, partitions: 1 }))
  const log = await openLog(disk, { streams })
  await change(log, [['a', '1']])
  await change(log, [['b', '2']], OTHER)
  return log
}

it('is told by a verification, with why, and the others are compared', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const log = await logOn(disk)
  disk.fail({ on: 'create-store', path: TABLE_PATH, code: 'ENOSPC', times: Number.POSITIVE_INFINITY })
  const tables = openTables(disk, log, { limits, streams: [STREAM, OTHER] })
  const [failing, whole] = await tables.verify()
  expect(failing).toMatchObject({ stream: STREAM, isWhole: false, problems: [{ key: null }] })
  expect(failing!.problems[0]!.reason).toMatch(/cannot be read now: ENOSPC/)
  expect(whole).toMatchObject({ stream: OTHER, isWhole: true, keys: 1 })
  const { isWhole, tables: told } = await verifyAll(log, tables, () => {})
  expect([isWhole, told[0]!.problems[0]!.key]).toEqual([false, null])
  const repaired = await repairAll(log, tables, () => {})
  expect(repaired).toMatchObject({ isWhole: false, rebuiltTables: [], failedTables: [{ stream: STREAM }] })
  disk.heal()
  await until(() => tables.status().every(({ state }) => state === 'current'), 'it was tried again')
  expect((await verifyAll(log, tables, () => {})).isWhole).toBe(true)
})

it('that could not be compared for want of room keeps no other from it', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const log = await logOn(disk)
  const tables = openTables(disk, log, { limits, streams: [STREAM, OTHER] })
  await tables.whenBuilt(STREAM)
  disk.fail({ on: 'create-store', path: `${TABLE_PATH}~`, code: 'ENOSPC' })
  expect(await tables.verify()).toMatchObject([{ isWhole: false }, { isWhole: true }])
})

it('is not waited for any longer by those who have left, and their signal is free of it', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const log = await logOn(disk)
  const gate = disk.hold('create-store', TABLE_PATH)
  const tables = openTables(disk, log, { limits, streams: [STREAM] })
  await gate.reached
  const leaving = new AbortController()
  const waiting = Promise.all([
    tables.verify(() => {}, leaving.signal),
    tables.whenBuilt(STREAM, () => {}, leaving.signal),
  ])
  leaving.abort()
  expect(await waiting).toEqual([[], undefined])
  gate.release()
  const staying = new AbortController()
  await tables.whenBuilt(STREAM, () => {}, staying.signal)
  expect(getEventListeners(staying.signal, 'abort')).toEqual([])
  expect(await tables.verify(() => {}, staying.signal)).toMatchObject([{ isWhole: true }])
})
