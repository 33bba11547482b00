/**
 * A disk so full that segments cannot be written anew. The janitor ended at the first one that failed: the log was never said to be full, the
 * disk was filled to its last byte each time, commits failed with it, and `drop-oldest` streams lost records for room that never came.
 */
import { describe, expect, it, vi } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog, readAll } from './support.ts'

const STREAMS = [
  { name: 'short', partitions: 1, policy: { ...DEFAULT_POLICY, unsynced: 'drop-oldest' } as const },
  { name: 'long', partitions: 1 },
]

/** Every segment holds as much of one stream as of the other; upstream has nothing. */
async function mixed(budget: { bytesMax: number | null; reserveBytes: number }) {
  const memory = new MemoryDisk()
  const disk = new FaultyDisk(memory)
  const log = await openLog(disk, { segmentBytes: 4000, streams: STREAMS, budget, upstreams: ['central'] })
  vi.spyOn(log.janitor, 'wake').mockImplementation(() => {})
  for (let n = 0; n < 200; n++) {
    await append(log, 0, [`short ${n}`.padEnd(40, '.')], { stream: 'short' })
    await append(log, 0, [`long ${n}`.padEnd(40, '.')], { stream: 'long' })
  }
  return { log, disk, memory }
}

const startOf = (log: EventLog, stream: string) =>
  log.partitions().find((state) => state.stream === stream)!.logStartOffset

describe('on a full disk', () => {
  it('the log is said to be full although a segment cannot be written anew, and no longer full while that goes on', async () => {
    const budget = { bytesMax: null as number | null, reserveBytes: 0 }
    const { log, disk } = await mixed(budget)
    budget.bytesMax = 10_000
    disk.fail({ on: 'settle-store', code: 'ENOSPC', times: Number.POSITIVE_INFINITY })
    await log.janitor.run()
    expect(log.status().space.isFull).toBe(true)
    expect(log.stream('long').chain.admission.isHeld).toBe(true)
    budget.bytesMax = 10_000_000
    await log.janitor.run()
    expect(log.status().space.isFull).toBe(false)
    expect(log.stream('long').chain.admission.isHeld).toBe(false)
  })

  it('nothing is written that does not fit, and nothing goes whose room cannot be had; both once there is room', async () => {
    const { log, disk, memory } = await mixed({ bytesMax: null, reserveBytes: 20_000 })
    const begun = disk.trace.length
    memory.freeBytes = 8000
    for (let run = 0; run < 4; run++) await log.janitor.run()
    expect(log.status().space.isFull).toBe(true)
    expect(startOf(log, 'short')).toBe(0)
    expect(disk.trace.slice(begun).map(({ kind }) => kind)).not.toContain('create-store')
    memory.freeBytes = 12_000
    await log.janitor.run()
    expect(startOf(log, 'short')).toBeGreaterThan(0)
    expect(log.status().retention.rewrittenSegments).toBeGreaterThan(0)
    expect(await readAll(log, 0, { stream: 'long' })).toHaveLength(200)
    expect((await log.verify()).problems).toEqual([])
  })

  it('a round of compaction ends before it fills the disk, and is made once there is room', async () => {
    const memory = new MemoryDisk()
    const disk = new FaultyDisk(memory)
    const policy = { ...DEFAULT_POLICY, compacts: true, deletes: false }
    const streams = [{ name: 'events', partitions: 1, policy }]
    const log = await openLog(disk, { segmentBytes: 4000, streams })
    for (let n = 0; n < 100; n++) await append(log, 0, [`value ${n % 10}`.padEnd(40, '.')])
    memory.freeBytes = 100
    const begun = disk.trace.length
    await expect(log.compact(null)).rejects.toMatchObject({ message: expect.stringMatching(/room for 0/) })
    expect(disk.trace.slice(begun).map(({ kind }) => kind)).not.toContain('settle-store')
    memory.freeBytes = 1e9
    await log.compact(null)
    expect(await readAll(log, 0)).toHaveLength(10)
  })

  it('the log is said to be full although the disk does not say what one segment takes', async () => {
    const { log, disk, memory } = await mixed({ bytesMax: null, reserveBytes: 20_000 })
    disk.fail({ on: 'read-file', path: log.chains()[0]!.active.id, times: Number.POSITIVE_INFINITY })
    memory.freeBytes = 8000
    await log.janitor.run()
    expect(log.status().space.isFull).toBe(true)
  })
})
