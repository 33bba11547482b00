/** A log that holds damage: it starts, counts it, brings what is whole, and gives no offset twice. */
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commitKey, commitOf, idOf, NOTE_ID } from '../../../broker/log/commit-key.ts'
import { baseOffsetOf } from '../../../broker/log/record-batch.ts'
import { openLevelStore } from '../../../broker/storage/level-store.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Entry } from '../../../broker/storage/store.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'
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

  it('in LevelDB’s own structure is read as far as it can be, at every place of every file', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    for (let round = 0; round < 25; round++) {
      const { path, directory, reopen, records } = await manySegments()
      const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
        /^[0-9a-f]{8}\/(CURRENT|MANIFEST-\d+|\d+\.(ldb|log))$|\.index$/.test(name),
      )
      const damaged = Array.from({ length: random.between(1, 4) }, () => {
        const name = files[random.between(0, files.length - 1)]!
        return `${name}: ${damage(join(directory, name), random)}`
      })
      const note = `HEADWATER_TEST_SEED=${seed}, round ${round}: ${damaged.join('; ')}`
      const log = await reopen()
      for (const partition of [0, 1]) {
        const found = await readAll(log, partition)
        expect(records[partition], note).toEqual(expect.arrayContaining(found))
        const sorted = found.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
        expect(found, note).toEqual(sorted)
        await append(log, partition, ['on'])
        const next = Number.parseInt((await readAll(log, partition)).at(-1)!, 10)
        expect(next, note).toBeGreaterThanOrEqual(0)
      }
      await log.verify()
      await log.close()
      const again = await reopen()
      expect((await readAll(again, 0)).at(-1), note).toMatch(/:on$/)
      await again.close()
      rmSync(path, { recursive: true })
    }
  }, 120_000)
})

/** A log of several sealed segments whose stores were opened again, so that tables and write-ahead files stand on the disk. */
async function manySegments() {
  const path = temporaryDirectory()
  const options = { path, segmentBytes: 1500, sink: new RecordingSink() }
  const log = await openLog(nodeDisk, options)
  for (let i = 0; i < 40; i++) await append(log, i % 2, [`v${i}`.padEnd(60, '.')])
  const records = [await readAll(log, 0), await readAll(log, 1)]
  await log.close()
  return { path, directory: join(path, 'log', 'main'), records, reopen: () => openLog(nodeDisk, options) }
}

function damage(file: string, random: Random): string {
  if (!existsSync(file)) return 'gone already'
  const bytes = readFileSync(file)
  const kind = random.between(0, 3)
  if (kind === 0) {
    rmSync(file)
    return 'removed'
  }
  const at = random.between(0, Math.max(0, bytes.length - 1))
  if (kind === 1) truncateSync(file, at)
  else if (kind === 2 && bytes.length > 0) {
    bytes[at]! ^= 1 << random.between(0, 7)
    writeFileSync(file, bytes)
  } else {
    bytes.fill(0, at, Math.min(bytes.length, at + random.between(1, 600)))
    writeFileSync(file, bytes)
  }
  return `${['', 'cut', 'flipped', 'zeroed'][kind]} at ${at}`
}
