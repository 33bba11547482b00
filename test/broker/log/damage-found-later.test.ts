/**
 * A sealed segment that was found fit, and is damaged when it is read later: `log verify` and `log repair` ended with an error, as did a read on
 * a full disk, where it did not pass over what was gone.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { NoRoomError } from '../../../broker/errors.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { append, openLog, readAll, temporaryDirectory } from './support.ts'

const RECORDS = 40

async function sealed(disk: Disk = nodeDisk) {
  const path = temporaryDirectory()
  const log = await openLog(disk, { path })
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
async function damagedLater() {
  const made = await sealed()
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
