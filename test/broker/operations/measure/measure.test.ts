import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { measureAppend } from '../../../../broker/operations/measure/append.ts'
import { cardYears, yearsText } from '../../../../broker/operations/measure/card-life.ts'
import { measureFsync } from '../../../../broker/operations/measure/fsync.ts'
import { latenciesOf } from '../../../../broker/operations/measure/latencies.ts'
import { withScratch } from '../../../../broker/operations/measure/scratch.ts'

const never = new AbortController().signal
const directories: string[] = []
let place: string
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'headwater-measure-'))
  directories.push(place)
})
afterAll(() => Promise.all(directories.map((each) => rm(each, { recursive: true, force: true }))))

test('latencies are those of the nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  expect(latenciesOf(hundred)).toEqual({ count: 100, p50: 50, p90: 90, p99: 99, max: 100 })
  expect(latenciesOf([7])).toEqual({ count: 1, p50: 7, p90: 7, p99: 7, max: 7 })
  expect(latenciesOf([])).toEqual({ count: 0, p50: 0, p90: 0, p99: 0, max: 0 })
})

test('fsyncs are counted, told as they are done, and leave nothing behind', async () => {
  const done: number[] = []
  const { count, p50, max } = await measureFsync(place, 5, never, (each) => done.push(each))
  expect(count).toBe(5)
  expect(p50).toBeGreaterThan(0)
  expect(max).toBeGreaterThanOrEqual(p50)
  expect(done).toEqual([1, 2, 3, 4, 5])
  expect(await readdir(place)).toEqual([])
})

test('an interruption ends them, and leaves nothing behind', async () => {
  const controller = new AbortController()
  const { count } = await measureFsync(
    place,
    1000,
    controller.signal,
    (done) => done === 3 && controller.abort(),
  )
  expect(count).toBe(3)
  expect(await readdir(place)).toEqual([])
})

test('appends keep to their bytes, and leave nothing behind', async () => {
  const appended = await measureAppend(place, 10, { msMax: 60_000, bytesMax: 10_000 }, never)
  expect(appended).toMatchObject({ recordsPerCommit: 10, records: 100 })
  expect(appended.commitMs.count).toBe(10)
  expect(appended.recordsPerSecond).toBeGreaterThan(0)
  expect(await readdir(place)).toEqual([])
})

test('what a killed process left is cleared away, what a living one uses is not', async () => {
  // larger than any process id
  await mkdir(join(place, '.headwater-scratch-99999999-abc'))
  await mkdir(join(place, `.headwater-scratch-${process.ppid}-abc`))
  await mkdir(join(place, 'log'))
  await withScratch(place, async () => {})
  expect((await readdir(place)).toSorted()).toEqual([`.headwater-scratch-${process.ppid}-abc`, 'log'])
})

test('a scratch directory goes when the work in it fails, too', async () => {
  await expect(withScratch(place, () => Promise.reject(new Error('no space')))).rejects.toThrow('no space')
  expect(await readdir(place)).toEqual([])
})

test('years of a card: 5 kB a message, one a second, 10 TB', () => {
  expect(cardYears(5000, 1, 10e12)).toBeCloseTo(63.4, 1)
  expect(cardYears(5000, 10, 10e12)).toBeCloseTo(6.34, 2)
  expect([250, 63.4, 1.5, 0.12].map(yearsText)).toEqual([
    'more than 100 years',
    '63 years',
    '18 months',
    '44 days',
  ])
})
