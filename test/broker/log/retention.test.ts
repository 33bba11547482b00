/** Retention at work: what readers see, what is on the disk, and what a power cut at any step leaves. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import type { StoredBatch } from '../../../broker/log/source.ts'
import { DEFAULT_POLICY, type StreamPolicy } from '../../../broker/log/stream-policy.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, drain, openLog, readAll, recordsOf, temporaryDirectory, until } from './support.ts'

const SEGMENT_BYTES = 2000
const policy = (more: Partial<StreamPolicy>): StreamPolicy => ({ ...DEFAULT_POLICY, ...more })

/** Two streams in one chain: `short` expires, `long` stays. */
const MIXED = {
  segmentBytes: SEGMENT_BYTES,
  streams: [
    { name: 'short', partitions: 2, policy: policy({ retentionBytes: 3000 }) },
    { name: 'long', partitions: 1 },
  ],
}

/** Commit n appends to every partition of every stream; every tenth one alone to `long`. */
async function write(log: EventLog, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) {
    for (const { stream, partition } of log.partitions()) {
      if (stream === 'long' && n % 10 !== 0) continue
      const options = { stream, timestamp: 1000 + n }
      await append(log, partition, [`${stream} ${n}`.padEnd(40, '.')], options)
    }
  }
}

/** Retention then runs when the test says so, and not when a segment is sealed. */
function onlyOnDemand(log: EventLog): void {
  vi.spyOn(log.janitor, 'wake').mockImplementation(() => {})
}

const offsets = (records: readonly string[]) => records.map((record) => Number.parseInt(record, 10))
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/** Every partition that can be read holds all offsets from its log start on, and the log is whole. */
async function expectWhole(log: EventLog): Promise<void> {
  for (const { stream, partition, logStartOffset, durableOffset } of log.partitions()) {
    const records = await readAll(log, partition, { stream, bytesMax: 700 })
    expect(offsets(records), `${stream}/${partition}`).toEqual(range(logStartOffset, durableOffset))
  }
  expect((await log.verify()).problems).toEqual([])
}

const longOf = (batches: readonly StoredBatch[]) =>
  batches.filter(({ stream }) => stream === 'long').flatMap((batch) => recordsOf([batch]))

const startOf = (log: EventLog, stream: string, partition = 0) =>
  log.partitions().find((state) => state.stream === stream && state.partition === partition)!.logStartOffset

describe('retention', () => {
  it('takes the oldest records of a stream by whole segments, and their files with them', async () => {
    const path = temporaryDirectory()
    const streams = [{ name: 'short', partitions: 2, policy: policy({ retentionBytes: 5000 }) }]
    const log = await openLog(nodeDisk, { path, segmentBytes: SEGMENT_BYTES, streams })
    onlyOnDemand(log)
    await write(log, 0, 200)
    const before = log.chains()[0]!.segments.length
    await log.janitor.run()
    const { segments } = log.chains()[0]!
    expect(segments.length).toBeLessThan(before - 3)
    expect(startOf(log, 'short')).toBeGreaterThan(50)
    const kept = segments.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0) + segments.at(-1)!.bytes
    expect(kept).toBeGreaterThanOrEqual(5000)
    expect(kept).toBeLessThan(5000 + 2 * SEGMENT_BYTES)
    await expectWhole(log)
    const directory = join(path, 'log', 'main')
    const listed = () => readdirSync(directory).filter((name) => /^[0-9a-f]{8}$/.test(name)).length
    await until(() => listed() === segments.length, 'the directories are gone')
    await write(log, 200, 210)
    const start = startOf(log, 'short')
    await log.close()
    const unlimited = streams.map(({ name, partitions }) => ({ name, partitions }))
    const again = await openLog(nodeDisk, { path, segmentBytes: SEGMENT_BYTES, streams: unlimited })
    expect(startOf(again, 'short')).toBe(start)
    await expectWhole(again)
  })

  it('looks again each time a segment was sealed, so that a window is kept however fast it is filled', async () => {
    const path = temporaryDirectory()
    const streams = [{ name: 'short', partitions: 2, policy: policy({ retentionBytes: 5000 }) }]
    const log = await openLog(nodeDisk, { path, segmentBytes: SEGMENT_BYTES, streams })
    await log.janitor.run()
    const looks = vi.spyOn(log.janitor, 'run')
    const { stats } = log.chains()[0]!
    for (let n = 0; stats.rolls < 8; n++) {
      const rolls = stats.rolls
      const before = looks.mock.calls.length
      await write(log, n, n + 1)
      // by the commit that follows a roll, not by the clock
      if (stats.rolls > rolls) expect(looks.mock.calls.length).toBe(before + 1)
      await Promise.all(looks.mock.results.map(({ value }) => value))
    }
    expect(startOf(log, 'short')).toBeGreaterThan(0)
    await log.close()
  })

  it('writes segments anew where another stream stays, offsets as they were, and none of its bytes twice', async () => {
    const path = temporaryDirectory()
    const log = await openLog(nodeDisk, { path, ...MIXED })
    onlyOnDemand(log)
    await write(log, 0, 300)
    const long = await readAll(log, 0, { stream: 'long' })
    const before = log.status().storedBytes
    await log.janitor.run()
    expect(log.status().storedBytes).toBeLessThan(before / 2)
    expect(log.chains()[0]!.segments.some(({ isRewritten }) => isRewritten)).toBe(true)
    expect(await readAll(log, 0, { stream: 'long' })).toEqual(long)
    await expectWhole(log)
    const after = log.status()
    await log.janitor.run()
    expect(log.status().retention, 'a second run finds nothing to do').toEqual(after.retention)
    await log.close()
    const again = await openLog(nodeDisk, { path, ...MIXED })
    await again.janitor.run()
    expect(await readAll(again, 0, { stream: 'long' })).toEqual(long)
    await expectWhole(again)
    expect(again.status().recovery).toMatchObject({ faults: 0, rebuiltIndexes: 0 })
  })

  it('lets ingest wait while more than two segments of dead records are to be written anew, and no longer', async () => {
    const path = temporaryDirectory()
    const log = await openLog(nodeDisk, { path, ...MIXED })
    onlyOnDemand(log)
    const chain = log.chains()[0]!
    const delays = vi.spyOn(chain.admission, 'delay')
    await write(log, 0, 300)
    await log.janitor.run()
    expect(delays.mock.calls.map(([isLate]) => isLate)).toContain(true)
    expect(chain.admission.isLate).toBe(false)
    delays.mockClear()
    await write(log, 300, 310)
    await log.janitor.run()
    expect(delays.mock.calls.map(([isLate]) => isLate)).not.toContain(true)
    chain.admission.delay(true)
    let isLetIn = false
    const waiting = chain.admission.drained().then(() => {
      isLetIn = true
    })
    await Promise.resolve()
    expect([chain.admission.isFull, isLetIn]).toEqual([true, false])
    chain.admission.delay(false)
    await waiting
    await expectWhole(log)
  })

  it('lets a reader end that is at work in a segment that goes, and removes it after', async () => {
    const path = temporaryDirectory()
    const disk = new FaultyDisk(nodeDisk)
    const log = await openLog(disk, { path, ...MIXED })
    onlyOnDemand(log)
    await write(log, 0, 100)
    const first = log.chains()[0]!.segments[0]!
    const gate = disk.hold('range', first.id)
    const reading = log.read('short', 0, 0, 100)
    await gate.reached
    await Promise.race([log.janitor.run(), new Promise((resolve) => setTimeout(resolve, 200))])
    expect(existsSync(join(path, 'log', 'main', first.id))).toBe(true)
    gate.release()
    expect((await reading)[0]?.baseOffset).toBe(0)
    await log.janitor.run()
    await until(() => !existsSync(join(path, 'log', 'main', first.id)), 'the segment is gone')
    await expectWhole(log)
  })

  it('shows a cursor that stands anywhere each record that is left once, in order', async () => {
    const log = await openLog(new MemoryDisk(), MIXED)
    await write(log, 0, 120)
    const all = await readAll(log, 0, { stream: 'long' })
    const standing = [1, 3, 6, 9, 14].map((steps) => ({
      cursor: log.openCursor(new Map()),
      steps,
      seen: [] as string[],
    }))
    for (const { cursor, steps, seen } of standing) {
      for (let i = 0; i < steps; i++) seen.push(...longOf(await cursor.next(900)))
    }
    await log.janitor.run()
    for (const { cursor, steps, seen } of standing) {
      const rest = (await drain(cursor)).get('long/0') ?? []
      expect([...seen, ...rest], `after ${steps} steps`).toEqual(all)
    }
  })

  it('that power cuts interrupt at any change leaves a whole log, and ends its work after', async () => {
    for (const leaves of ['old', 'new', 'torn', 'the process alone'] as const) {
      for (let nth = 1; ; nth++) {
        const memory = new MemoryDisk()
        if (leaves !== 'the process alone') memory.namesLeft = () => leaves
        const disk = new FaultyDisk(memory)
        const log = await openLog(disk, MIXED)
        await write(log, 0, 60)
        const long = await readAll(log, 0, { stream: 'long' })
        const cut = leaves === 'the process alone' ? disk.endProcessAt.bind(disk) : disk.cutPowerAt.bind(disk)
        cut(nth)
        await log.janitor.run()
        const isThrough = !disk.isOff
        await log.close()
        const again = await openLog(new FaultyDisk(memory), MIXED)
        expect(await readAll(again, 0, { stream: 'long' }), `cut at change ${nth}, leaves ${leaves}`).toEqual(
          long,
        )
        await expectWhole(again)
        await again.janitor.run()
        expect(startOf(again, 'short')).toBeGreaterThan(20)
        await expectWhole(again)
        await again.close()
        if (isThrough) break
      }
    }
  })

  it('whose manifest cannot be written leaves the log as it is and open, and is carried out later', async () => {
    for (const on of ['replace', 'rename', 'sync-directory'] as const) {
      const disk = new FaultyDisk(new MemoryDisk())
      const log = await openLog(disk, MIXED)
      await write(log, 0, 60)
      disk.fail({ on, path: 'manifest' })
      await log.janitor.run()
      await until(() => !disk.hasFaults && log.status().condition === 'open', 'the log is open again')
      await expectWhole(log)
      await write(log, 60, 62)
      await log.janitor.run()
      expect(startOf(log, 'short'), on).toBeGreaterThan(20)
      await expectWhole(log)
    }
  })

  it('by time waits for a trusted clock, and seals what would otherwise stay as long as the segment fills', async () => {
    let now: number | null = null
    const disk = new MemoryDisk()
    const options = {
      segmentBytes: 1e6,
      streams: [{ name: 'short', partitions: 1, policy: policy({ retentionMs: 800 }) }],
      trustedNow: () => now,
    }
    const log = await openLog(disk, options)
    await write(log, 0, 20)
    await log.janitor.run()
    expect(startOf(log, 'short')).toBe(0)
    now = 5000
    await log.janitor.run()
    await until(() => log.chains()[0]!.segments.length === 2, 'the segment is sealed')
    await log.janitor.run()
    expect(startOf(log, 'short'), 'sealed just now').toBe(0)
    now = 5801
    await log.janitor.run()
    expect(startOf(log, 'short')).toBe(20)
    await expectWhole(log)
  })

  it('keeps what upstream has not got, and takes it once it has', async () => {
    const log = await openLog(new MemoryDisk(), { ...MIXED, upstreams: ['central'] })
    await write(log, 0, 100)
    await log.janitor.run()
    expect(startOf(log, 'short')).toBe(0)
    const positions = new Map([
      ['short/0', 40],
      ['short/1', 100],
    ])
    log.floors.set('central', () => positions)
    await log.janitor.run()
    expect(startOf(log, 'short')).toBeGreaterThan(10)
    expect(startOf(log, 'short')).toBeLessThanOrEqual(40)
    positions.set('short/0', 100)
    await log.janitor.run()
    expect(startOf(log, 'short')).toBeGreaterThan(60)
    await expectWhole(log)
  })

  it('counts what it takes before upstream has it, over restarts', async () => {
    const disk = new MemoryDisk()
    const streams = [
      { name: 'short', partitions: 2, policy: policy({ retentionBytes: 3000, unsynced: 'drop-oldest' }) },
    ]
    const options = { segmentBytes: SEGMENT_BYTES, streams, upstreams: ['central'] }
    const log = await openLog(disk, options)
    log.floors.set('central', () => new Map([['short/0', 7]]))
    await write(log, 0, 100)
    await log.janitor.run()
    const lost = startOf(log, 'short', 0) - 7 + startOf(log, 'short', 1)
    expect(log.streams()[0]!.droppedRecords).toBe(lost)
    await log.close()
    const again = await openLog(disk, options)
    expect(again.streams()[0]!.droppedRecords).toBe(lost)
  })
})

describe('a disk that is full', () => {
  const budget = { bytesMax: null, reserveBytes: 1000 }

  it('holds what comes until there is room, and says so once on the way in and once on the way out', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk, { ...MIXED, budget, upstreams: ['central'] })
    const { chain } = log.stream('short')
    disk.freeBytes = 999
    await log.janitor.run()
    expect(log.status().space).toMatchObject({ isFull: true, freeBytes: 999, reserveBytes: 1000 })
    expect(chain.admission.isFull).toBe(true)
    let isLetIn = false
    const waiting = chain.admission.drained().then(() => {
      isLetIn = true
    })
    disk.freeBytes = 1001
    await log.janitor.run()
    expect(isLetIn, 'not at the first byte of room').toBe(false)
    disk.freeBytes = 10_000_000
    await log.janitor.run()
    await waiting
    expect(log.status().space.isFull).toBe(false)
  })

  it('takes what upstream has, whatever the retention says, before it holds anything', async () => {
    const log = await openLog(new MemoryDisk(), {
      segmentBytes: SEGMENT_BYTES,
      streams: [{ name: 'short', partitions: 1 }],
      budget: { bytesMax: 20_000, reserveBytes: 0 },
    })
    for (let n = 0; n < 1000; n += 50) {
      await write(log, n, n + 50)
      await log.janitor.run()
      expect(log.status().space.isFull).toBe(false)
    }
    expect(log.status().storedBytes).toBeLessThan(20_000)
    expect(log.status().storedBytes).toBeGreaterThan(10_000)
    expect(log.status().retention.evictedBytes.short).toBeGreaterThan(50_000)
    await expectWhole(log)
  })
})
