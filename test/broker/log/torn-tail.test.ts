/**
 * Power cuts of real LevelDB directories whose last write is torn, life after life on one log: what was acknowledged stays, once and
 * in order, no start needs help, and a tear is counted as one and not as damage. Without root: see test/support/torn-disk.ts.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'
import { TEARS, type Torn, TornDisk } from '../../support/torn-disk.ts'
import { openLog, readAll, temporaryDirectory } from './support.ts'

const PARTITIONS = 3
const LIVES = 20
/** A few commits with a large record each fill a segment, so that cuts come to rolls as well. */
const SEGMENT_BYTES = 200_000
const WRITES_MAX = 12

interface Books {
  /** Names by partition, in the order of their appends. */
  readonly appended: string[][]
  readonly acknowledged: Set<string>
  /** `offset:name` by partition: what was read after the last cut. */
  seen: string[][]
}

/** Appends commit after commit until the power is cut. */
async function live(
  log: EventLog,
  disk: TornDisk,
  books: Books,
  life: number,
  random: Random,
): Promise<void> {
  const { chain, partitions } = log.stream('events')
  for (let commit = 0; !disk.isOff; commit++) {
    const isOver = new Promise<void>((resolve) => {
      try {
        for (let n = random.between(1, 6); n > 0; n--) {
          const partition = random.between(0, PARTITIONS - 1)
          const name = `${life}.${commit}.${n}`
          const value = Buffer.from(`${name} `.padEnd(sizeOf(random), '-'))
          chain.append(partitions[partition]!, 1000, null, value, NO_HEADERS)
          books.appended[partition]!.push(name)
          chain.onCommit((error) => error === null && books.acknowledged.add(name))
        }
        chain.onCommit(() => resolve())
      } catch {
        resolve() // the log has seen that its disk is gone
      }
    })
    await isOver
    await turn()
  }
}

/** Mostly small, some larger than LevelDB's blocks of 32 KiB: a write of several physical records. */
function sizeOf(random: Random): number {
  return random.next() < 0.8 ? random.between(10, 900) : random.between(5_000, 100_000)
}

async function expectSound(log: EventLog, books: Books, note: string): Promise<void> {
  const seen: string[][] = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const records = (await readAll(log, partition, { bytesMax: 1e6 })).map((record) => record.split(' ')[0]!)
    expect(
      records.map((record) => Number.parseInt(record, 10)),
      `${note}: offsets`,
    ).toEqual(records.map((_, i) => i))
    const names = records.map((record) => record.slice(record.indexOf(':') + 1))
    const places = new Map(books.appended[partition]!.map((name, place) => [name, place]))
    const order = names.map((name) => places.get(name)!)
    expect(order, `${note}: in order, none twice`).toEqual([...new Set(order)].toSorted((a, b) => a - b))
    const found = new Set(names)
    const lost = books.appended[partition]!.filter((name) => books.acknowledged.has(name) && !found.has(name))
    expect(lost, `${note}: acknowledged and lost`).toEqual([])
    const before = books.seen[partition] ?? []
    expect(records.slice(0, before.length), `${note}: seen before`).toEqual(before)
    seen.push(records)
  }
  books.seen = seen
  expect((await log.verify()).problems, note).toEqual([])
}

/** What must have been counted: a tear that left a part of a write is one torn tail. */
function expectCounted(log: EventLog, torn: readonly Torn[], note: string): void {
  const { recovery } = log.status()
  expect(recovery, `${note}: no damage`).toMatchObject({ faults: 0 })
  if (torn.length === 0 || torn.every(({ tear }) => tear === 'lost' || tear === 'kept')) {
    expect(recovery.tornTails, note).toBe(0)
  }
  expect(recovery.tornTails, note).toBeLessThanOrEqual(torn.length)
}

describe('a log whose last write a power cut tore', () => {
  it('holds all that was acknowledged, whatever the tear left, life after life', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const path = temporaryDirectory()
    const options = {
      path,
      segmentBytes: SEGMENT_BYTES,
      streams: [{ name: 'events', partitions: PARTITIONS }],
    }
    const books: Books = {
      appended: Array.from({ length: PARTITIONS }, () => []),
      acknowledged: new Set(),
      seen: [],
    }
    const tears = new Set<string>()
    for (let life = 0; life < LIVES; life++) {
      const disk = new TornDisk()
      // with the first write of a start as well
      disk.cutAt(random.between(1, WRITES_MAX))
      const dying = await openLog(disk, options).catch((error: Error) => {
        if (!disk.isOff) throw error
        return null
      })
      if (dying !== null) await live(dying, disk, books, life, random)
      await dying?.close()
      await disk.bury()
      const torn = disk.tear(random)
      for (const { tear } of torn) tears.add(tear)

      const note = `HEADWATER_TEST_SEED=${seed}, life ${life}, ${JSON.stringify(torn)}`
      const log = await openLog(nodeDisk, options)
      expectCounted(log, torn, note)
      await expectSound(log, books, note)
      await log.close()
    }
    expect(books.acknowledged.size).toBeGreaterThan(LIVES)
    expect(tears.size, `of ${TEARS.length} kinds`).toBeGreaterThan(4)
  }, 120_000)
})
