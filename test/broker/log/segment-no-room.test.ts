/** Sealed segments on a disk without room for LevelDB to open them: read from their files, by LevelDB once there is room, with or without an index. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { NoRoomError } from '../../../broker/errors.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { append, openLog, readAll, temporaryDirectory } from './support.ts'

const RECORDS = 20
const SEALED = '00000001'

afterEach(() => {
  vi.restoreAllMocks()
})

/** While it is full the sealed segment cannot be opened, and no index be written. */
function fullDisk() {
  const state = { isFull: false, opened: 0 }
  const disk: Disk = {
    ...nodeDisk,
    async openStore(directory, options) {
      if (directory.endsWith(SEALED) && state.isFull)
        throw new NoRoomError(directory, 'No space left on device', 'free some space on this disk')
      if (directory.endsWith(SEALED)) state.opened++
      return nodeDisk.openStore(directory, options)
    },
    async replaceFile(path, bytes) {
      if (state.isFull && path.endsWith('.index'))
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      return nodeDisk.replaceFile(path, bytes)
    },
  }
  return { disk, state }
}

/** A log whose first segment is sealed and closed, with a write-ahead file that still holds it. */
async function sealed() {
  const { disk, state } = fullDisk()
  const path = temporaryDirectory()
  const log = await openLog(disk, { path })
  for (let i = 0; i < RECORDS; i++) await append(log, 0, [`value ${i}`.padEnd(300, '.')])
  const { chain } = log.stream('events')
  const [segment] = chain.segments
  await chain.seal()
  await chain.cache.retire(segment!)
  const directory = join(path, 'log', chain.name)
  const logs = () =>
    readdirSync(join(directory, SEALED)).filter(
      (name) => name.endsWith('.log') && readFileSync(join(directory, SEALED, name)).length > 0,
    )
  expect(logs()).toHaveLength(1)
  state.opened = 0
  return { log, disk, state, path, chain, segment: segment!, index: join(directory, `${SEALED}.index`) }
}

it('one that is read from its files is opened by LevelDB a while after there is room again', async () => {
  const { log, state, chain, segment } = await sealed()
  state.isFull = true
  expect(await readAll(log, 0)).toHaveLength(RECORDS)
  state.isFull = false
  expect(await readAll(log, 0)).toHaveLength(RECORDS)
  expect([chain.cache.isOpen(segment), state.opened], 'not opened anew for each read').toEqual([true, 0])
  const now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => now + 6000)
  expect(await readAll(log, 0)).toHaveLength(RECORDS)
  expect(await readAll(log, 0)).toHaveLength(RECORDS)
  expect(state.opened).toBe(1)
  vi.spyOn(performance, 'now').mockImplementation(() => now + 60_000)
  expect(await readAll(log, 0)).toHaveLength(RECORDS)
  expect(state.opened, 'one that LevelDB has open stays so').toBe(1)
})

it('one whose index is gone is read on a full disk, and gets it once there is room', async () => {
  const { log, state, chain, segment, index } = await sealed()
  rmSync(index)
  state.isFull = true
  expect(await readAll(log, 0)).toHaveLength(RECORDS)
  expect(existsSync(index)).toBe(false)
  state.isFull = false
  await chain.cache.retire(segment)
  expect(await readAll(log, 0)).toHaveLength(RECORDS)
  expect(existsSync(index)).toBe(true)
})

it('a start on a full disk needs no index, and no LevelDB for it', async () => {
  const { log, disk, state, path, index } = await sealed()
  await log.close()
  rmSync(index)
  state.isFull = true
  const again = await openLog(disk, { path })
  expect(await readAll(again, 0)).toHaveLength(RECORDS)
  expect(again.status().recovery).toMatchObject({ rebuiltIndexes: 1, salvagedSegments: 0 })
})
