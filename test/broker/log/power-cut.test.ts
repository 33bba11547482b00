/**
 * The power is cut at every change of the disk in turn, rolls and recoveries included. What was acknowledged is there afterwards,
 * once and in order, and what a reader saw stays.
 */
import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk, type NameOutcome } from '../../support/memory-disk.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'
import { append, openLog, readAll, temporaryDirectory } from './support.ts'

const PARTITIONS = 2
/** Four commits or so fill a segment. */
const SEGMENT_BYTES = 600
const COMMITS = 14

interface Outcome {
  /** Values by partition, as they were appended. */
  readonly appended: string[][]
  readonly acknowledged: Set<string>
  wasCut: boolean
}

const newOutcome = (): Outcome => ({
  appended: Array.from({ length: PARTITIONS }, () => []),
  acknowledged: new Set(),
  wasCut: false,
})

/** Appends commit after commit until the end or the cut. */
async function work(log: EventLog, disk: FaultyDisk, outcome: Outcome, name: string): Promise<void> {
  const { chain, partitions } = log.stream('events')
  for (let i = 0; i < COMMITS && !disk.isOff; i++) {
    for (let n = 0; n < 3; n++) {
      const partition = (i + n) % PARTITIONS
      const value = `${name}.${i}.${n}`
      try {
        chain.append(partitions[partition]!, 1000, null, Buffer.from(value), NO_HEADERS)
        outcome.appended[partition]!.push(value)
        chain.onCommit((error) => error === null && outcome.acknowledged.add(value))
      } catch {
        break
      }
    }
    await new Promise<void>((resolve) => {
      try {
        chain.onCommit(() => resolve())
      } catch {
        resolve()
      }
    })
  }
  outcome.wasCut = disk.isOff
}

/** All acknowledged records, in the order of their appends, none twice, without a gap in the offsets. */
async function expectSound(log: EventLog, outcome: Outcome, seen: readonly string[][], note: string) {
  const found: string[][] = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const records = await readAll(log, partition)
    expect(
      records.map((record) => Number.parseInt(record, 10)),
      note,
    ).toEqual(records.map((_, i) => i))
    const values = records.map((record) => record.slice(record.indexOf(':') + 1))
    const places = values.map((value) => outcome.appended[partition]!.indexOf(value))
    expect(places, `${note}: in order, none twice`).toEqual([...new Set(places)].toSorted((a, b) => a - b))
    const missing = outcome.appended[partition]!.filter(
      (value) => outcome.acknowledged.has(value) && !values.includes(value),
    )
    expect(missing, `${note}: acknowledged and lost`).toEqual([])
    expect(values.slice(0, seen[partition]?.length ?? 0), `${note}: seen before`).toEqual(
      seen[partition] ?? [],
    )
    found.push(values)
  }
  expect((await log.verify()).problems, note).toEqual([])
  return found
}

async function cutEverywhere(options: {
  newDisk: () => Disk
  path: () => string
  kept: (random: Random) => (unsynced: number) => number
  names?: (random: Random) => () => NameOutcome
  /** What ends the first life; the second one ends by a power cut. */
  first?: 'power' | 'process'
  step: (random: Random) => number
}): Promise<number> {
  const seed = testSeed()
  const random = seededRandom(seed)
  let cuts = 0
  for (let cutAt = 1; ; cutAt += options.step(random)) {
    const note = `seed ${seed}, cut at change ${cutAt}`
    const below = options.newDisk()
    if (below instanceof MemoryDisk) {
      const crash = below.crash.bind(below)
      below.crash = () => crash(options.kept(random))
      if (options.names !== undefined) below.namesLeft = options.names(random)
    }
    const path = options.path()
    const log = { path, segmentBytes: SEGMENT_BYTES }
    const disk = new FaultyDisk(below)
    const outcome = newOutcome()
    if (options.first === 'process') disk.endProcessAt(cutAt)
    else disk.cutPowerAt(cutAt)
    const dying = await openLog(disk, log).catch(() => null)
    if (dying !== null) await work(dying, disk, outcome, 'a')
    outcome.wasCut = disk.isOff
    await dying?.close()
    await disk.bury()

    // the start after it is cut as well, at one of its own changes
    const second = new FaultyDisk(below)
    second.cutPowerAt(random.between(1, options.first === 'process' ? 25 : 6))
    const half = await openLog(second, log).catch(() => null)
    if (half !== null) await work(half, second, outcome, 'b')
    await half?.close()
    await second.bury()

    const third = await openLog(below, log)
    const seen = await expectSound(third, outcome, [], note)
    expect(third.status().recovery.faults, note).toBe(0)
    await append(third, 0, ['after'])
    outcome.appended[0]!.push('after')
    outcome.acknowledged.add('after')
    await third.close()
    await expectSound(await openLog(below, log), outcome, seen, note)
    if (!outcome.wasCut) return cuts
    cuts++
  }
}

describe('a power cut', () => {
  it('loses no acknowledged record at any change of the disk, when all that was not synced is forgotten', async () => {
    const cuts = await cutEverywhere({
      newDisk: () => new MemoryDisk(),
      path: () => '/data',
      kept: () => () => 0,
      step: () => 1,
    })
    expect(cuts).toBeGreaterThan(25)
  })

  it('loses none either when a part of what was not synced reached the disk', async () => {
    await cutEverywhere({
      newDisk: () => new MemoryDisk(),
      path: () => '/data',
      kept: (random) => (unsynced) => random.between(0, unsynced),
      step: () => 1,
    })
  })

  it('loses none either when renames and removals that were not synced reached the disk, or a removal got half way', async () => {
    const outcomes = ['old', 'new', 'torn'] as const
    for (const first of ['power', 'process'] as const) {
      await cutEverywhere({
        newDisk: () => new MemoryDisk(),
        path: () => '/data',
        kept: (random) => (unsynced) => random.between(0, unsynced),
        names: (random) => () => outcomes[random.between(0, 2)]!,
        first,
        step: () => 1,
      })
    }
  })

  it('loses none after the end of a process that did not live to sync what the next one found', async () => {
    await cutEverywhere({
      newDisk: () => new MemoryDisk(),
      path: () => '/data',
      kept: () => () => 0,
      first: 'process',
      step: () => 1,
    })
  })

  it('of a process alone, at a change of the real disk, loses none and leaves nothing behind', async () => {
    await cutEverywhere({
      newDisk: () => nodeDisk,
      path: temporaryDirectory,
      kept: () => () => 0,
      // each takes a while: some of the changes, other ones with another seed
      step: (random) => random.between(1, 4),
    })
  })
})
