/** A restore makes a whole log or nothing, whatever ends it. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  BackupDamagedError,
  BackupForeignError,
  DataDirectoryError,
  DataDirectoryLockedError,
} from '../../../../broker/errors.ts'
import { isDataDirectory, openDataDirectory, renameEdge } from '../../../../broker/storage/data-directory.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { append, RecordingSink, temporaryDirectory } from '../support.ts'
import { collect, openAll, RESTORED_AT, recordsIn, restore } from './support.ts'

const VALUES = ['a', 'b', 'c', 'd', 'e']
const random = seededRandom(testSeed())
let small: Buffer
let takenFrom: string
beforeAll(async () => {
  const path = temporaryDirectory()
  const disk = new MemoryDisk()
  await disk.makeDirectory(path)
  const all = await openAll(disk, path)
  takenFrom = all.data.identity.incarnation
  await all.data.facts.put('groups/display', Buffer.from('2'))
  await all.data.facts.put('sync/checkpoint/central', Buffer.from('{}'))
  for (const [i, value] of VALUES.entries()) {
    await append(all.log, 0, [value])
    if (i % 2 === 1) all.log.chains()[0]!.roll()
  }
  small = await collect(all.log.backup())
  await all.close()
})

async function expectRestored(disk: Disk, path: string, note = ''): Promise<void> {
  const all = await openAll(disk, path)
  expect(all.data.identity, note).toMatchObject({ edge: 'line-7', incarnation: 'incarnation-2' })
  expect(all.data.recovery.restoresCleared, note).toBe(0)
  expect(
    (await recordsIn(all.log, 'events', 0)).map(({ value }) => value),
    note,
  ).toEqual(VALUES)
  expect((await all.log.verify()).problems, note).toEqual([])
  expect((await all.data.facts.get('groups/display'))?.toString(), note).toBe('2')
  expect(await all.data.facts.get('sync/checkpoint/central'), note).toBeUndefined()
  await append(all.log, 0, ['after'])
  expect((await recordsIn(all.log, 'events', 0)).at(-1), note).toMatchObject({ offset: VALUES.length })
  await all.close()
  expect(await disk.list(path), note).not.toContain('.restoring')
}

describe('a restored log', () => {
  it('is another one: a new incarnation, the old one remembered, other names where they are given', async () => {
    const path = join(temporaryDirectory(), 'made', 'here')
    const { identity } = await restore(nodeDisk, path, small)
    expect(identity).toEqual({
      format: 1,
      edge: 'line-7',
      incarnation: 'incarnation-2',
      createdAt: new Date(RESTORED_AT).toISOString(),
      restoredFrom: { edge: 'line-7', incarnation: takenFrom, takenAt: expect.stringMatching(/^20/) },
    })
    await expectRestored(nodeDisk, path)
    const other = join(path, 'other')
    expect((await restore(nodeDisk, other, small, 'line-8')).identity.edge).toBe('line-8')
    const { to } = await renameEdge(nodeDisk, other, 'line-9')
    expect(to.restoredFrom).toMatchObject({ edge: 'line-7' })
  })

  it('can be backed up and restored again', async () => {
    const [first, second] = [temporaryDirectory(), temporaryDirectory()]
    await restore(nodeDisk, first, small)
    const all = await openAll(nodeDisk, first)
    const again = await collect(all.log.backup())
    await all.close()
    await restore(nodeDisk, second, again)
    await expectRestored(nodeDisk, second)
  })
})

describe('a restore', () => {
  it.each([
    ['a log', 'headwater.json', 'it holds a log'],
    ['something else', 'photo.jpg', 'it is not empty (photo.jpg)'],
    ['an archive', 'upstream', 'it is not empty (upstream)'],
  ])('into a directory that holds %s is refused', async (_what, name, reason) => {
    const path = temporaryDirectory()
    writeFileSync(join(path, name), 'x')
    const refused = await restore(nodeDisk, path, small).catch((error) => error)
    expect(refused).toBeInstanceOf(DataDirectoryError)
    expect(refused.message).toContain(reason)
    expect(readdirSync(path)).toEqual([name])
  })

  it('into an empty file system, with what its maker put there, is not', async () => {
    const path = temporaryDirectory()
    mkdirSync(join(path, 'lost+found'))
    await restore(nodeDisk, path, small)
    await expectRestored(nodeDisk, path)
  })

  it.each([
    ['was cut short', () => small.subarray(0, -1), BackupDamagedError],
    ['ends in the middle', () => small.subarray(0, small.length / 2), BackupDamagedError],
    ['was changed', () => Buffer.concat([small.subarray(0, -30), Buffer.alloc(30)]), BackupDamagedError],
    ['is none', () => Buffer.from('something else altogether'), BackupForeignError],
  ])('of a backup that %s changes nothing', async (_what, bytes, expected) => {
    const parent = temporaryDirectory()
    const [absent, empty] = [join(parent, 'absent'), join(parent, 'empty')]
    mkdirSync(empty)
    await expect(restore(nodeDisk, absent, bytes())).rejects.toThrow(expected)
    await expect(restore(nodeDisk, empty, bytes())).rejects.toThrow(expected)
    expect(existsSync(absent)).toBe(false)
    expect(readdirSync(empty)).toEqual([])
    await restore(nodeDisk, absent, small)
    await expectRestored(nodeDisk, absent)
  })

  it('keeps others out of the directory while it is at work', async () => {
    const disk = new FaultyDisk(nodeDisk)
    const path = temporaryDirectory()
    const gate = disk.hold('replace', 'catalog.json')
    const restoring = restore(disk, path, small)
    await gate.reached
    await expect(openAll(nodeDisk, path)).rejects.toThrow(DataDirectoryLockedError)
    await expect(restore(nodeDisk, path, small)).rejects.toThrow(DataDirectoryLockedError)
    gate.release()
    await restoring
    await expectRestored(nodeDisk, path)
  })

  it.each(['create-store', 'write', 'settle-store', 'replace', 'rename', 'sync-directory', 'sync'] as const)(
    'ends with one error and an empty directory when the disk fails at any %s',
    async (on) => {
      for (let nth = 1; ; nth++) {
        const below = new MemoryDisk()
        const disk = new FaultyDisk(below)
        const path = temporaryDirectory()
        await below.makeDirectory(path)
        disk.fail({ on, nth, code: 'ENOSPC' })
        const failed = await restore(disk, path, small).catch((error) => error)
        if (disk.hasFaults) {
          expect(nth).toBeGreaterThan(2)
          break
        }
        if (!(failed instanceof Error)) {
          // only the marker was left to remove
          await expectRestored(disk, path)
          continue
        }
        expect(failed, `${on} ${nth}`).toBeInstanceOf(DataDirectoryError)
        expect(failed.message).toContain('no space is left on the disk')
        expect(await below.list(path), `${on} ${nth}`).toEqual([])
        disk.heal()
        await restore(disk, path, small)
        await expectRestored(disk, path)
      }
    },
  )

  it('is done once the log is whole: a marker that cannot be removed then is left to the next start', async () => {
    const below = new MemoryDisk()
    const disk = new FaultyDisk(below)
    const path = temporaryDirectory()
    await below.makeDirectory(path)
    disk.fail({ on: 'remove', path: '.restoring' })
    await restore(disk, path, small)
    expect(await below.list(path)).toContain('.restoring')
    await expectRestored(disk, path)
  })

  it('that was cut short is told and counted by the next start', async () => {
    const disk = new FaultyDisk(nodeDisk)
    const path = temporaryDirectory()
    disk.endProcessAt(12)
    await restore(disk, path, small).catch(() => undefined)
    await disk.bury()
    expect(await isDataDirectory(nodeDisk, path)).toBe(false)
    const sink = new RecordingSink()
    const data = await openDataDirectory(nodeDisk, path, { name: 'line-8', isExplicit: false }, sink)
    await data.facts.close()
    expect(data.recovery.restoresCleared).toBe(1)
    expect(sink.matching('removed what an unfinished restore had left')).toHaveLength(1)
    expect(data.identity.edge).toBe('line-8')
  })
})

/** Cuts at each change of the disk in turn; then either a start or another restore comes. */
async function cutEverywhere(options: {
  newDisk: () => Disk
  kept: (unsynced: number) => number
  first: 'power' | 'process'
  step: () => number
}): Promise<number> {
  let cuts = 0
  let wasWhole = false
  for (let cutAt = 1; ; cutAt += options.step()) {
    for (const then of ['start', 'restore'] as const) {
      const note = `cut at change ${cutAt}, then ${then}, seed ${testSeed()}`
      const below = options.newDisk()
      if (below instanceof MemoryDisk) {
        const crash = below.crash.bind(below)
        below.crash = () => crash(options.kept)
      }
      const path = temporaryDirectory()
      await below.makeDirectory(path)
      const disk = new FaultyDisk(below)
      if (options.first === 'process') disk.endProcessAt(cutAt)
      else disk.cutPowerAt(cutAt)
      const failed = await restore(disk, path, small).catch((error) => error)
      const wasCut = disk.isOff
      await disk.bury()
      const isWhole = (await below.list(path)).includes('headwater.json')
      // once it is whole it stays so: there is one change that makes it so
      if (wasWhole) expect(isWhole, note).toBe(true)
      if (!wasCut) {
        expect(failed, note).not.toBeInstanceOf(Error)
        await expectRestored(below, path, note)
        if (then === 'restore') return cuts
        continue
      }
      cuts++
      await cutAgain(below, path, then)
      if (then === 'restore') wasWhole = isWhole
      // a name that the dead process did not live to sync is gone with the power
      if ((await below.list(path)).includes('headwater.json') && isWhole)
        await expectRestored(below, path, note)
      else if (then === 'restore') {
        await restore(below, path, small)
        await expectRestored(below, path, note)
      } else await expectNewLog(below, path, note)
    }
  }
}

/** What clears away after the first cut is cut as well, somewhere. */
async function cutAgain(below: Disk, path: string, then: 'start' | 'restore'): Promise<void> {
  const disk = new FaultyDisk(below)
  disk.cutPowerAt(random.between(1, 6))
  if (then === 'restore') await restore(disk, path, small).catch(() => undefined)
  else await openDataDirectory(disk, path, { name: 'line-7', isExplicit: false }).catch(() => undefined)
  await disk.bury()
}

/** What the restore left is gone, and a new log is there, which takes records. */
async function expectNewLog(disk: Disk, path: string, note: string): Promise<void> {
  const all = await openAll(disk, path)
  expect(all.data.identity, note).not.toHaveProperty('restoredFrom')
  expect(
    all.log.partitions().map(({ durableOffset }) => durableOffset),
    note,
  ).toEqual([0, 0])
  await append(all.log, 0, ['first'])
  await all.close()
  expect((await disk.list(path)).toSorted(), note).toEqual(['catalog.json', 'facts', 'headwater.json', 'log'])
}

describe('a cut at any change of the disk leaves a whole log, or what the next start or restore removes', () => {
  it('of the power, when all that was not synced is forgotten', async () => {
    const disk = { newDisk: () => new MemoryDisk(), kept: () => 0 }
    expect(await cutEverywhere({ ...disk, first: 'power', step: () => 1 })).toBeGreaterThan(40)
  })

  it('of the power, when a part of what was not synced reached the disk', async () => {
    const kept = (unsynced: number) => random.between(0, unsynced)
    await cutEverywhere({ newDisk: () => new MemoryDisk(), kept, first: 'power', step: () => 1 })
  })

  it('of the process', async () => {
    await cutEverywhere({ newDisk: () => new MemoryDisk(), kept: () => 0, first: 'process', step: () => 1 })
  })

  it('of the process, on the real disk', async () => {
    const step = () => random.between(3, 9)
    await cutEverywhere({ newDisk: () => nodeDisk, kept: () => 0, first: 'process', step })
  })
})
