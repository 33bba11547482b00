/** A log that opens itself again after a failure, with readers, verifications and a close under way. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk, Store } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, drain, openLog, readAll, temporaryDirectory, until } from './support.ts'

const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

async function withSegments(disk: FaultyDisk, path: string) {
  const log = await openLog(disk, { path, segmentBytes: 300 })
  for (let i = 0; i < 12; i++) await append(log, i % 2, [`v${i}`])
  expect(log.status().segments).toBeGreaterThan(2)
  return log
}

describe('a log that is opened', () => {
  it('reads its active segment from its files: LevelDB opens it once, maps nothing for it, and goes on there', async () => {
    const path = temporaryDirectory()
    const written = await openLog(nodeDisk, { path })
    const value = 'x'.repeat(3000)
    for (let i = 0; i < 40; i++) await append(written, 0, [value])
    await written.close()
    const opened: string[] = []
    let ranges = 0
    const disk: Disk = {
      ...nodeDisk,
      openStore: async (directory, options) => {
        opened.push(directory)
        const store = await nodeDisk.openStore(directory, options)
        const range: Store['range'] = (wanted) => {
          ranges++
          return store.range(wanted)
        }
        const scan: Store['scan'] = (from, to) => store.scan(from, to)
        return {
          ...{ range, scan, batch: () => store.batch(), get: (key) => store.get(key) },
          ...{ getMany: (keys) => store.getMany(keys), close: () => store.close() },
        }
      },
    }
    const log = await openLog(disk, { path })
    const active = join(path, 'log', 'main', log.chains()[0]!.active.id)
    expect(opened).toEqual([active])
    expect(ranges).toBe(0)
    await append(log, 0, ['after'])
    const records = await readAll(log, 0)
    expect(records.length).toBe(41)
    expect(records.at(-1)).toContain('after')
  })
})

describe('a log that opens itself again', () => {
  it('never shows durable offsets that went down, nor log starts that moved', async () => {
    for (const hold of ['read-file', 'open-store', 'range'] as const) {
      const disk = new FaultyDisk(new MemoryDisk())
      const log = await withSegments(disk, '/data')
      const before = log.partitions()
      disk.fail({ on: 'sync' })
      await append(log, 0, ['lost']).catch(() => {})
      const gate = disk.hold(hold)
      await gate.reached
      await turns()
      expect(log.partitions(), `held at ${hold}`).toEqual(before)
      gate.release()
      await until(() => log.status().condition === 'open', 'the log is open')
      expect(log.partitions()).toEqual(before)
    }
  })

  it('keeps its offsets while it cannot read what is on disk', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await withSegments(disk, '/data')
    const before = log.partitions()
    disk.fail({ on: 'sync' })
    disk.fail({ on: 'range' })
    await append(log, 0, ['lost']).catch(() => {})
    await until(() => !disk.hasFaults, 'the read has failed')
    await turns()
    expect(log.status().condition).toBe('failed')
    expect(log.partitions()).toEqual(before)
  })

  it('is closed by a close that comes meanwhile, with every store', async () => {
    for (const hold of ['read-file', 'open-store', 'replay'] as const) {
      const disk = new FaultyDisk(nodeDisk)
      const path = temporaryDirectory()
      const log = await withSegments(disk, path)
      disk.fail({ on: 'sync' })
      await append(log, 0, ['lost']).catch(() => {})
      let gate = disk.hold(hold === 'replay' ? 'open-store' : hold)
      await gate.reached
      if (hold === 'replay') {
        // the next that is read of a table, which is open by then
        const opening = gate
        gate = disk.hold('read-file', '.ldb')
        opening.release()
        await gate.reached
      }
      const closed = log.close()
      await turns()
      gate.release()
      await closed
      await turns()
      expect(log.status().condition, `held at ${hold}`).toBe('closed')
      // a store that is still open has LevelDB's lock
      const again = await openLog(nodeDisk, { path })
      expect((await readAll(again, 0)).length).toBe(6)
      await again.close()
    }
  })
})

describe('a close', () => {
  it('of a log that is being verified or read leaves no store open', async () => {
    const cases = (['verify', 'read', 'cursor'] as const).flatMap((work) =>
      (['range', 'open-store', 'read-file'] as const).map((held) => ({ work, held })),
    )
    for (const { work, held } of cases) {
      const disk = new FaultyDisk(nodeDisk)
      const path = temporaryDirectory()
      await (await withSegments(disk, path)).close()
      const log = await openLog(disk, { path, segmentBytes: 300 })
      const gate = disk.hold(held)
      const works = { verify: () => log.verify(), read: () => readAll(log, 0), cursor: () => drain(cursor) }
      const cursor = log.openCursor(new Map())
      const busy: Promise<unknown> = works[work]()
      const ended = busy.then(
        () => {},
        () => {},
      )
      await gate.reached
      const closed = log.close()
      await turns()
      gate.release()
      await closed
      await ended
      const again = await openLog(nodeDisk, { path })
      expect((await again.verify()).isWhole, `${work} held at ${held}`).toBe(true)
      await again.close()
    }
  })

  it('that is called twice ends both times only when all is closed', async () => {
    const path = temporaryDirectory()
    const log = await withSegments(new FaultyDisk(nodeDisk), path)
    append(log, 0, ['last']).catch(() => {})
    void log.close()
    await log.close()
    expect((await readAll(await openLog(nodeDisk, { path }), 0)).at(-1)).toMatch(/last/)
  })
})

describe('a start that fails', () => {
  it('leaves no store open: the next start in the same process works', async () => {
    for (const below of [nodeDisk, new MemoryDisk()]) {
      // how many changes and reads a first start makes is not known: fail at each of them in turn
      for (const on of ['sync', 'replace', 'make-directory', 'create-store', 'range', 'read-file'] as const) {
        for (let nth = 1; nth <= 12; nth++) {
          const disk = new FaultyDisk(below)
          const path = temporaryDirectory()
          disk.fail({ on, nth, code: 'ENOSPC' })
          const failed = await openLog(disk, { path }).then(
            () => null,
            (error: Error) => error,
          )
          if (failed === null) break
          disk.heal()
          const log = await openLog(disk, { path })
          await append(log, 0, ['a'])
          expect(await readAll(log, 0), `${on} ${nth}`).toEqual(['0:a'])
          await log.close()
        }
      }
    }
  })
})

describe('a sealed segment whose index cannot be written again', () => {
  it('is read all the same, and gets it with the next start', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await withSegments(disk, '/data')
    const all = await readAll(log, 0)
    await log.close()
    const again = await openLog(disk, { segmentBytes: 300 })
    await disk.below.replaceFile('/data/log/main/00000001.index', Buffer.from('damaged since the start'))
    disk.fail({ on: 'replace', code: 'ENOSPC' })
    expect(await readAll(again, 0)).toEqual(all)
    expect(disk.hasFaults, 'it was tried').toBe(false)
    await again.close()
    const last = await openLog(disk, { segmentBytes: 300 })
    expect(last.status().recovery.rebuiltIndexes).toBe(1)
    expect(await readAll(last, 0)).toEqual(all)
  })
})
