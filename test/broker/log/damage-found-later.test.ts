/**
 * A sealed segment that was found fit, and is damaged when it is read later: `log verify` and `log repair` ended with an error, as did a read on
 * a full disk, where it did not pass over what was gone.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { NoRoomError } from '../../../broker/errors.ts'
import type { Chain } from '../../../broker/log/chain.ts'
import { scanSegment } from '../../../broker/log/segment-scan.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { append, openLog, RecordingSink, readAll, temporaryDirectory } from './support.ts'

const RECORDS = 40

async function sealed(disk: Disk = nodeDisk, sink = new RecordingSink()) {
  const path = temporaryDirectory()
  const log = await openLog(disk, { path, sink })
  for (let i = 0; i < RECORDS; i++) await append(log, i % 2, [`value ${i}`.padEnd(300, '.')])
  const { chain } = log.stream('events')
  const [segment] = chain.segments
  await chain.seal()
  return { log, chain, segment: segment!, directory: join(path, 'log', chain.name, segment!.id) }
}

function damage(directory: string, kind: '.ldb' | '.log', [from, to]: [number, number]): void {
  const file = join(directory, readdirSync(directory).findLast((name) => name.endsWith(kind))!)
  const bytes = readFileSync(file)
  bytes.fill(0, from, to)
  writeFileSync(file, bytes)
}

/** A log of which a table was damaged after it was read. */
async function damagedLater(disk: Disk = nodeDisk, sink = new RecordingSink()) {
  const made = await sealed(disk, sink)
  const { log, chain, segment, directory } = made
  await chain.cache.retire(segment)
  expect(await readAll(log, 0)).toHaveLength(RECORDS / 2)
  await chain.cache.retire(segment)
  damage(directory, '.ldb', [9000, 10_000])
  return made
}

it('verify tells it, counts nothing twice, and finds a whole log the next time', async () => {
  const { log } = await damagedLater()
  const { segments, records, problems } = await log.verify()
  expect(problems.length).toBeGreaterThan(0)
  expect(problems.every(({ isGap }) => isGap)).toBe(true)
  expect(log.status().recovery).toMatchObject({ salvagedSegments: 1 })
  const again = await log.verify()
  expect(again).toMatchObject({ isWhole: true, segments, records })
  expect(again.holes.length).toBeGreaterThan(0)
  const left = [...(await readAll(log, 0)), ...(await readAll(log, 1))]
  expect(left.length).toBeGreaterThan(RECORDS / 2)
  expect(left.length).toBe(records)
})

it('repair makes holes of what is gone, and says that the log is whole then', async () => {
  const { log } = await damagedLater()
  expect(await log.repair()).toMatchObject({ isWhole: true, problems: [] })
  await append(log, 0, ['goes on'])
  expect((await readAll(log, 0)).at(-1)).toMatch(/goes on/)
})

it('a read on a full disk from a damaged write-ahead file passes over nothing without a word', async () => {
  const state = { isFull: false }
  const disk: Disk = {
    ...nodeDisk,
    async openStore(directory, options) {
      // new segments still fit, the tables of this one do not
      if (state.isFull && !options.createIfMissing && directory.endsWith('00000001'))
        throw new NoRoomError(directory, 'No space left on device', 'free some space on this disk')
      return nodeDisk.openStore(directory, options)
    },
  }
  const { log, chain, segment, directory } = await sealed(disk)
  await chain.cache.retire(segment)
  state.isFull = true
  // it was found fit once, and closed since
  expect(await readAll(log, 0)).toHaveLength(RECORDS / 2)
  await chain.cache.retire(segment)
  damage(directory, '.log', [9000, 10_000])
  const left = await readAll(log, 0)
  expect(left.length).toBeLessThan(RECORDS / 2)
  const lost = log.lostOffsets('events', 0).reduce((sum, { from, to }) => sum + to - from, 0)
  expect(left.length + lost, 'each is there, or named').toBe(RECORDS / 2)
})

it.each(['create-store', 'settle-store'] as const)(
  'what cannot be saved for want of room (%s) leaves the log open, no file behind, and is saved later',
  async (on) => {
    const disk = new FaultyDisk(nodeDisk)
    const { log, chain, directory } = await damagedLater(disk)
    disk.fail({ on, code: 'ENOSPC', times: Number.POSITIVE_INFINITY })
    const before = readdirSync(dirname(directory))
    for (let n = 0; n < 3; n++) {
      await expect(scanAll(chain)).rejects.toThrow(/no space left/)
      await append(log, 0, ['goes on'])
    }
    expect(log.status()).toMatchObject({ condition: 'open', failedCommits: 0 })
    expect(readdirSync(dirname(directory))).toEqual(before)
    disk.heal()
    expect(await scanAll(chain)).toBeNull()
    expect(log.status().recovery.salvagedSegments).toBe(1)
  },
)

it('what cannot be moved to quarantine keeps nobody from the log', async () => {
  const disk = new FaultyDisk(nodeDisk)
  const sink = new RecordingSink()
  const { log, chain, segment } = await damagedLater(disk, sink)
  disk.fail({ on: 'replace', path: 'why.json', code: 'ENOSPC', times: Number.POSITIVE_INFINITY })
  expect(await scanAll(chain)).toBeNull()
  expect(sink.matching('could not be moved')[0]!.fields).toMatchObject({ segment: segment.id })
  expect(chain.segments).not.toContain(segment)
  await append(log, 0, ['goes on'])
  expect(log.status()).toMatchObject({ condition: 'open', failedCommits: 0 })
})

/** As retention and compaction do. */
function scanAll(chain: Chain): Promise<boolean | null> {
  return scanSegment(chain, chain.segments[0]!, async (scan) => {
    while ((await scan.next(1000, () => {})) > 0);
    return true
  })
}
