/** What `log verify` finds: the damage is done through LevelDB itself, so that only our own checks can see it. */
import { readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commitKey } from '../../../broker/log/commit-key.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { SegmentIndex } from '../../../broker/log/segment-index.ts'
import { crc32c } from '../../../broker/storage/crc32c.ts'
import { openLevelStore } from '../../../broker/storage/level-store.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { append, openLog, type RecordingSink, readAll, temporaryDirectory } from './support.ts'

const LEVEL = { writeBufferBytes: 64 * 1024, createIfMissing: false }
const SEGMENT_BYTES = 400

/** A closed log of several segments: commit 1 is the head, then a commit a value, by turns in two partitions. */
async function written(options: { segmentBytes?: number } = {}) {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path, segmentBytes: options.segmentBytes ?? SEGMENT_BYTES })
  for (let i = 0; i < 12; i++) await append(log, i % 2, [`v${i}a`, `v${i}b`])
  const segments = log.chains()[0]!.segments.map((segment) => ({ ...segment }))
  await log.close()
  const reopen = (sink?: RecordingSink): Promise<EventLog> => {
    return openLog(nodeDisk, { path, segmentBytes: 1e9, ...(sink === undefined ? {} : { sink }) })
  }
  return { directory: join(path, 'log', 'main'), segments, reopen }
}

/** Changes one entry of a segment's LevelDB. */
async function tamper(
  directory: string,
  key: Buffer,
  change: (value: Buffer) => Buffer | null,
): Promise<void> {
  const store = await openLevelStore(directory, LEVEL)
  const value = await store.get(key)
  expect(value).toBeDefined()
  const changed = change(Buffer.from(value!))
  const batch = store.batch()
  if (changed === null) batch.delete(key)
  else batch.put(key, changed)
  await batch.write({ sync: true })
  await store.close()
}

const flipped = (at: number) => (value: Buffer) => {
  value[at]! ^= 1
  return value
}

describe('log verify', () => {
  it('finds a whole log whole, and counts what is in it', async () => {
    const { segments, reopen } = await written()
    expect(segments.length).toBeGreaterThan(2)
    const log = await reopen()
    const progress: number[] = []
    const report = await log.verify(({ bytesDone, bytesTotal }) => progress.push(bytesDone / bytesTotal))
    expect(report).toMatchObject({
      isWhole: true,
      problems: [],
      problemsLeftOut: 0,
      batches: 12,
      records: 24,
    })
    expect(report.segments).toBe(segments.length)
    expect(report.commits).toBe(log.chains()[0]!.durableCommit)
    expect(report.partitions.map(({ bytes: _, ...rest }) => rest)).toEqual([
      { stream: 'events', partition: 0, fromOffset: 0, toOffset: 12, records: 12 },
      { stream: 'events', partition: 1, fromOffset: 0, toOffset: 12, records: 12 },
    ])
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    expect(progress.at(-1)).toBe(1)
  })

  it('finds one flipped bit of a stored batch, in a sealed segment and in the active one', async () => {
    for (const segmentBytes of [SEGMENT_BYTES, 1e9]) {
      const { directory, reopen } = await written({ segmentBytes })
      await tamper(join(directory, '00000001'), commitKey(2, 0), flipped(70))
      const report = await (await reopen()).verify()
      expect(report.isWhole).toBe(false)
      expect(report.problems[0]).toMatchObject({ place: 'main/00000001', commit: 2 })
      expect(report.problems[0]!.reason).toMatch(/CRC/)
    }
  })

  it('is followed by a repair, which makes holes of what is damaged and leaves a whole log', async () => {
    for (const segmentBytes of [SEGMENT_BYTES, 1e9]) {
      const { directory, reopen } = await written({ segmentBytes })
      await tamper(join(directory, '00000001'), commitKey(2, 0), flipped(70))
      await tamper(join(directory, '00000001'), commitKey(4, 0), flipped(20))
      const log = await reopen()
      const left = [await readAll(log, 0), await readAll(log, 1)]
      const report = await log.repair()
      expect(report).toMatchObject({ repairedSegments: 1, problems: [], isWhole: true })
      expect(report.problemsBefore).toBeGreaterThan(0)
      const lost = report.holes.reduce((sum, { from, to }) => sum + to - from, 0)
      expect(lost).toBe(24 - left.flat().length)
      expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(left)
      expect(await log.repair()).toMatchObject({ problemsBefore: 0, repairedSegments: 0, isWhole: true })
      await append(log, 0, ['on'])
      await log.close()
      const again = await reopen()
      expect((await again.verify()).problems).toEqual([])
      expect((await readAll(again, 0)).at(-1)).toBe('12:on')
      expect(readdirSync(join(directory, '..', '..', 'quarantine'))).toHaveLength(1)
    }
  })

  it('finds a batch whose records are not what its header says, though its CRC is right', async () => {
    const { directory, reopen } = await written()
    // the first record with another offset: a mistake of a writer, not of a disk
    await tamper(join(directory, '00000001'), commitKey(2, 0), (value) => {
      value[64] = 0x20
      value.writeUInt32BE(crc32c(value.subarray(21)), 17)
      return value
    })
    const { problems } = await (await reopen()).verify()
    expect(problems.map(({ reason }) => reason).join()).toMatch(/record|offset/)
  })

  it('finds a flipped bit in a note', async () => {
    const { directory, reopen } = await written()
    await tamper(join(directory, '00000001'), commitKey(1, 0xffffffff), flipped(6))
    const { problems } = await (await reopen()).verify()
    expect(problems[0]).toMatchObject({ place: 'main/00000001', commit: 1 })
    expect(problems[0]!.reason).toMatch(/note/)
  })

  it('finds a commit that is missing in the middle', async () => {
    const { directory, reopen } = await written({ segmentBytes: 1e9 })
    await tamper(join(directory, '00000001'), commitKey(4, 0), () => null)
    const reasons = (await (await reopen()).verify()).problems.map(({ reason }) => reason)
    expect(reasons).toEqual(['commits 4 to 4 are missing', 'events/0: offset 2 expected, 4 found'])
  })

  it('finds a commit that is missing at the end of a sealed segment', async () => {
    const { directory, segments, reopen } = await written()
    const last = segments[0]!.lastCommit
    await tamper(join(directory, '00000001'), commitKey(last, last % 2), () => null)
    const reasons = (await (await reopen()).verify()).problems.map(({ reason }) => reason)
    expect(reasons).toContainEqual(`the last commit should be ${last}`)
  })

  it('finds an index that lies, though its CRC is right', async () => {
    const { directory, segments, reopen } = await written()
    const path = join(directory, '00000001.index')
    const index = SegmentIndex.decode(await readFile(path), segments[0]!.firstCommit)!
    const lying = new SegmentIndex(segments[0]!.firstCommit)
    for (const [id, partition] of index.partitions) {
      for (let i = 0; i < partition.count; i++) {
        const baseOffset = partition.offsetAt(i) + (i === 1 ? 1 : 0)
        const row = { baseOffset, nextOffset: partition.nextOffset, records: 2, bytes: 1, maxTimestamp: 1000 }
        lying.of(id, partition.firstOffset).add(partition.commitAt(i), row)
      }
    }
    await writeFile(path, lying.encode())
    const { problems } = await (await reopen()).verify()
    expect(problems.length).toBeGreaterThan(0)
    expect(problems[0]!.reason).toMatch(/the index does not place offset/)
  })

  it('finds a batch of a partition that no stream has', async () => {
    const { directory, reopen } = await written()
    const store = await openLevelStore(join(directory, '00000001'), LEVEL)
    const value = await store.get(commitKey(2, 0))
    const batch = store.batch()
    batch.put(commitKey(2, 77), value!)
    await batch.write({ sync: true })
    await store.close()
    const { isWhole, problems } = await (await reopen()).verify()
    expect(isWhole).toBe(false)
    expect(problems[0]!.reason).toMatch(/partition id 77/)
  })

  it('finds that a partition ends before its durable offset', async () => {
    const { reopen } = await written()
    const log = await reopen()
    log.stream('events').partitions[1]!.durableOffset += 5
    const { problems } = await log.verify()
    expect(problems.map(({ reason }) => reason)).toEqual(['events/1: ends at 12, the log says 17'])
  })

  it('runs while the log is written, and finds it whole', async () => {
    const { reopen } = await written()
    const log = await reopen()
    let isDone = false
    const verified = log.verify().finally(() => {
      isDone = true
    })
    let appended = 0
    while (!isDone) {
      await append(log, 0, ['meanwhile'])
      appended++
    }
    expect((await verified).problems).toEqual([])
    expect(appended).toBeGreaterThan(0)
    expect((await log.verify()).records).toBe(24 + appended)
  })
})
