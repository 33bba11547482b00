/** A log that holds damage: it starts, counts it, brings what is whole, and gives no offset twice. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CorruptLogError } from '../../../broker/errors.ts'
import { commitKey, commitOf, idOf, NOTE_ID } from '../../../broker/log/commit-key.ts'
import { baseOffsetOf } from '../../../broker/log/record-batch.ts'
import { openLevelStore } from '../../../broker/storage/level-store.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Entry } from '../../../broker/storage/store.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { append, drain, openLog, RecordingSink, readAll, recordsOf, temporaryDirectory } from './support.ts'

const LEVEL = { writeBufferBytes: 64 * 1024, createIfMissing: false }

/** A closed log of one segment: commit 1 is the head, then a commit with two records a turn, by turns in two partitions. */
async function written() {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path })
  for (let i = 0; i < 12; i++) await append(log, i % 2, [`v${i}a`, `v${i}b`])
  await log.close()
  const reopen = (sink = new RecordingSink()) => openLog(nodeDisk, { path, sink })
  return { directory: join(path, 'log', 'main'), reopen }
}

/** Flips a bit of a stored batch through LevelDB itself, so that only our own checks can see it. */
async function flip(segment: string, commit: number, id: number, at: number): Promise<void> {
  const store = await openLevelStore(segment, LEVEL)
  const key = commitKey(commit, id)
  const value = Buffer.from((await store.get(key))!)
  value[at]! ^= 1
  const batch = store.batch()
  batch.put(key, value)
  await batch.write({ sync: true })
  await store.close()
}

describe('a log that holds damage', () => {
  it('starts, counts and logs it, brings what is whole, and takes records', async () => {
    const { directory, reopen } = await written()
    await flip(join(directory, '00000001'), 4, 0, 70)
    const sink = new RecordingSink()
    const log = await reopen(sink)
    expect(log.status().recovery.faults).toBeGreaterThan(0)
    expect(sink.matching('cannot be read')[0]!.fields).toMatchObject({
      segment: '00000001',
      commit: 4,
      id: 0,
    })
    const found = await readAll(log, 0)
    expect(found.slice(0, 4)).toEqual(['0:v0a', '1:v0b', '4:v4a', '5:v4b'])
    expect(await readAll(log, 1)).toHaveLength(12)
    await append(log, 0, ['later'])
    expect((await readAll(log, 0)).at(-1)).toBe('12:later')
  })

  it('is read from every offset inside the hole by the batch that follows it', async () => {
    const { directory, reopen } = await written()
    await flip(join(directory, '00000001'), 4, 0, 70)
    const log = await reopen()
    for (const bytesMax of [1, 1e6]) {
      for (const from of [2, 3]) {
        const [first] = await log.read('events', 0, from, bytesMax)
        expect(first!.baseOffset).toBe(4)
        expect((await readAll(log, 0, { from, bytesMax }))[0]).toBe('4:v4a')
      }
    }
  })

  it('never gives the offsets of a lost batch to other records, also when it was the partition’s last', async () => {
    const { directory, reopen } = await written()
    // commit 12 is the last of partition 0: its records had the offsets 10 and 11
    for (const at of [3, 25, 70]) await flip(join(directory, '00000001'), 12, 0, at)
    const log = await reopen()
    expect(log.partitions()[0]!.durableOffset).toBeGreaterThanOrEqual(12)
    await append(log, 0, ['later'])
    const offsets = (await readAll(log, 0)).map((record) => Number.parseInt(record, 10))
    expect(offsets.at(-1)).toBeGreaterThanOrEqual(12)
    await log.close()
    const again = await reopen()
    expect((await readAll(again, 0)).map((record) => Number.parseInt(record, 10))).toEqual(offsets)
    await append(again, 0, ['latest'])
    expect((await readAll(again, 0)).at(-1)).toBe(`${offsets.at(-1)! + 1}:latest`)
  })

  it('hands no damaged batch to a reader or a cursor, in dense and sparse partitions, sealed or not', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (const segmentBytes of [1500, 1e9]) {
      const path = temporaryDirectory()
      const log = await openLog(nodeDisk, { path, segmentBytes })
      for (let i = 0; i < 80; i++) await append(log, i % 10 === 0 ? 1 : 0, [`v${i}a`, `v${i}b`])
      const [chain] = log.chains()
      const segments = chain!.segments.map((segment) => ({ ...segment }))
      const whole = [await readAll(log, 0), await readAll(log, 1)]
      await log.close()

      /** `partition/baseOffset` of what is damaged. */
      const lost = new Set<string>()
      for (const { id } of segments) {
        const segment = join(path, 'log', 'main', id)
        const store = await openLevelStore(segment, LEVEL)
        const entries = await store.range({ from: Buffer.of(), to: Buffer.alloc(12, 0xff), bytesMax: 1e9 })
        await store.close()
        const stored = entries.filter(({ key }) => idOf(key) !== NOTE_ID)
        for (let n = 0; n < 3 && stored.length > 0; n++) {
          const [{ key, value }] = stored.splice(random.between(0, stored.length - 1), 1) as [Entry]
          lost.add(`${idOf(key)}/${baseOffsetOf(value)}`)
          await flip(segment, commitOf(key), idOf(key), random.between(17, 70))
        }
      }
      const kept = whole.map((records, partition) =>
        records.filter((record) => {
          const offset = Number.parseInt(record, 10)
          return !lost.has(`${partition}/${offset - (offset % 2)}`)
        }),
      )

      const again = await openLog(nodeDisk, { path, segmentBytes: 1e9 })
      for (const partition of [0, 1]) {
        for (const bytesMax of [1, 300, 1e6]) {
          const note = `seed ${seed}, ${segmentBytes}, partition ${partition}, ${bytesMax}`
          expect(await readAll(again, partition, { bytesMax }), note).toEqual(kept[partition])
        }
        for (let from = 0; from < whole[partition]!.length; from++) {
          const [first] = await again.read('events', partition, from, 1)
          const expected = kept[partition]!.find((record) => Number.parseInt(record, 10) >= from)
          expect(first && recordsOf([first], from)[0], `seed ${seed}, from ${from}`).toBe(expected)
        }
      }
      const found = await drain(again.openCursor(new Map()))
      expect(found).toEqual(
        new Map([
          ['events/0', kept[0]],
          ['events/1', kept[1]],
        ]),
      )
      expect(again.status().recovery.faults).toBeGreaterThanOrEqual(lost.size)
    }
  })

  it('whose LevelDB is damaged itself is refused as a corrupt log, with the segment that is', async () => {
    const { directory, reopen } = await written()
    await (await reopen()).close() // what stood in the write-ahead file stands in a table now
    const segment = join(directory, '00000001')
    for (const table of readdirSync(segment).filter((name) => name.endsWith('.ldb'))) {
      const bytes = readFileSync(join(segment, table))
      bytes[bytes.length - 1]! ^= 1
      writeFileSync(join(segment, table), bytes)
    }
    await expect(reopen()).rejects.toThrow(CorruptLogError)
    await expect(reopen()).rejects.toThrow(/00000001.*Corruption/)
  })
})
