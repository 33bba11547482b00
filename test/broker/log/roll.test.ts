/** A roll seals the active segment and starts the next; each of its steps can fail. */
import { describe, expect, it } from 'vitest'
import { CommitFailedError } from '../../../broker/errors.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { type Fault, FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog, RecordingSink, readAll, temporaryDirectory, until } from './support.ts'

const SEGMENT_BYTES = 400

describe('a roll', () => {
  it('writes the index, the new segment with its head, then the manifest: in this order', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk, { segmentBytes: SEGMENT_BYTES })
    const { stats } = log.chains()[0]!
    let before = 0
    for (let i = 0; stats.rolls === 0; i++) {
      before = disk.trace.length
      await append(log, 0, [`v${i}`])
    }
    expect(
      disk.trace.slice(before).map(({ kind, path }) => `${kind} ${path.slice('/data/log/main'.length)}`),
    ).toEqual([
      'replace /00000001.index',
      'rename /00000001.index',
      'sync-directory /00000001.index',
      'remove /00000002',
      'make-directory /00000002',
      'create-store /00000002',
      'sync /00000002',
      'replace /manifest.json',
      'rename /manifest.json',
      'sync-directory /manifest.json',
      'sync /00000002',
    ])
    expect(log.chains()[0]!.segments.map(({ id, isSealed }) => [id, isSealed])).toEqual([
      ['00000001', true],
      ['00000002', false],
    ])
  })

  const steps: [string, Fault, 'goes on' | 'opens again'][] = [
    ['the index cannot be written', { on: 'replace', path: '.index' }, 'goes on'],
    ['the index cannot be renamed', { on: 'rename', path: '.index' }, 'goes on'],
    ['the index’s directory cannot be synced', { on: 'sync-directory', path: '.index' }, 'goes on'],
    ['the new directory cannot be made', { on: 'make-directory', path: '0002' }, 'goes on'],
    ['the new store cannot be made', { on: 'create-store', path: '0002' }, 'goes on'],
    ['the head is not written', { on: 'sync', path: '0002' }, 'goes on'],
    ['the head is written but not synced', { on: 'sync', path: '0002', isKept: true }, 'goes on'],
    ['the manifest cannot be written', { on: 'replace', path: 'manifest' }, 'opens again'],
    ['the manifest cannot be renamed', { on: 'rename', path: 'manifest' }, 'opens again'],
    ['the manifest’s directory cannot be synced', { on: 'sync-directory', path: 'manifest' }, 'opens again'],
  ]

  it.each(steps)('loses nothing when %s, and is made later', async (_, fault, outcome) => {
    for (const below of [nodeDisk, new MemoryDisk()]) {
      const disk = new FaultyDisk(below)
      const options = { path: temporaryDirectory(), segmentBytes: SEGMENT_BYTES, sink: new RecordingSink() }
      const log = await openLog(disk, options)
      const { stats } = log.chains()[0]!
      disk.fail({ ...fault, code: 'ENOSPC' })
      const acknowledged: string[] = []
      let failures = 0
      for (let i = 0; i < 30; i++) {
        await until(() => log.status().condition === 'open', 'the log is open')
        await append(log, 0, [`v${i}`]).then(
          () => acknowledged.push(`v${i}`),
          (error) => {
            expect(error).toBeInstanceOf(CommitFailedError)
            failures++
          },
        )
      }
      expect(disk.hasFaults).toBe(false)
      expect(failures).toBe(outcome === 'goes on' ? 0 : 1)
      expect(stats.failedRolls).toBe(1)
      expect(stats.rolls).toBeGreaterThan(1)
      expect(options.sink.matching('could not be sealed')).toHaveLength(1)
      const expected = acknowledged.map((value, i) => `${i}:${value}`)
      expect(await readAll(log, 0)).toEqual(expected)
      expect((await log.verify()).problems).toEqual([])
      expect(disk.violations).toBe(0)
      await log.close()

      const again = await openLog(below, options)
      expect(await readAll(again, 0)).toEqual(expected)
      expect(again.status().recovery).toMatchObject({ faults: 0, leftovers: 0, rebuiltIndexes: 0 })
      expect((await again.verify()).problems).toEqual([])
      await again.close()
    }
  })

  it('that fails again and again is told once, and once more when it is over', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const sink = new RecordingSink()
    const log = await openLog(disk, { segmentBytes: SEGMENT_BYTES, sink })
    const chain = log.chains()[0]!
    await append(log, 0, ['v'])
    for (let i = 0; i < 10; i++) {
      disk.fail({ on: 'replace', path: '.index', code: 'ENOSPC' })
      expect(await chain.seal()).toBe(false)
    }
    expect(sink.matching('could not be sealed')).toHaveLength(1)
    expect(await chain.seal()).toBe(true)
    expect(sink.matching('sealed again')).toMatchObject([{ level: 'info', fields: { failures: 10 } }])
    await append(log, 0, ['v'])
    expect(await chain.seal()).toBe(true)
    expect(sink.matching('sealed again')).toHaveLength(1)
    await log.close()
  })

  it('that failed and could not clean up after itself does not spoil the next try', async () => {
    for (const below of [nodeDisk, new MemoryDisk()]) {
      const disk = new FaultyDisk(below)
      const options = { path: temporaryDirectory(), segmentBytes: SEGMENT_BYTES }
      const log = await openLog(disk, options)
      disk.fail({ on: 'sync', path: '00000002', isKept: true })
      disk.fail({ on: 'remove', path: '00000002', nth: 2 })
      for (let i = 0; i < 20; i++) await append(log, 0, [`v${i}`])
      expect(log.chains()[0]!.stats).toMatchObject({ failedRolls: 1 })
      expect(log.chains()[0]!.stats.rolls).toBeGreaterThan(0)
      expect((await log.verify()).problems).toEqual([])
      await log.close()
      const again = await openLog(below, options)
      expect(await readAll(again, 0)).toHaveLength(20)
      expect((await again.verify()).problems).toEqual([])
      expect(again.status().recovery.faults).toBe(0)
      await again.close()
    }
  })

  it('is tried again once the segment has grown by an eighth, not at each commit of a full disk', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk, { segmentBytes: 8000 })
    disk.fail({ on: 'replace', path: '.index', code: 'ENOSPC', times: Number.POSITIVE_INFINITY })
    for (let i = 0; i < 150; i++) await append(log, 0, [`value number ${i}`])
    const { bytes } = log.chains()[0]!.segments[0]!
    const { failedRolls, rolls } = log.chains()[0]!.stats
    expect(rolls).toBe(0)
    expect(failedRolls).toBeGreaterThan(1)
    expect(failedRolls).toBeLessThanOrEqual((bytes - 8000) / 1000 + 1)
    disk.heal()
    for (let i = 0; i < 20; i++) await append(log, 0, ['later'])
    expect(log.status().segments).toBe(2)
  })
})
