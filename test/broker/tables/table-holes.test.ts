/** Holes of the log that retention has passed: each opening of a new table found them below its positions, and built it again, for ever. */
import { expect, it } from 'vitest'
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { openLog, until } from '../log/support.ts'
import { change, collected, latestOf, openTables, STREAM, shown } from './support.ts'

const KEY = 'a'
const PARTITION = partitionOf(Buffer.from(KEY), 2)

/** A log of ten changes of one key whose partition begins at the sixth. */
async function passedLog(holes: { from: number; to: number; reason: string }[]) {
  const disk = new MemoryDisk()
  const log = await openLog(disk)
  for (let i = 0; i < 10; i++) await change(log, [[KEY, `${i}`]])
  log.lostOffsets = (_, partition) => (partition === PARTITION ? holes : [])
  const { chain, partitions } = log.stream(STREAM)
  const pass = async () => {
    const starts = new Map([[partitions[PARTITION]!.id, 5]])
    expect(await chain.rearrange({ remove: [], starts })).toBe(true)
  }
  return { disk, log, pass }
}

it.each([
  [1, 3],
  [1, 5],
  [4, 6],
])('a table that is built above a hole from %i to %i stays as it is', async (from, to) => {
  const { disk, log, pass } = await passedLog([{ from, to, reason: 'damage' }])
  await pass()
  const tables = openTables(disk, log)
  expect(shown(await collected(tables.scan(STREAM)))).toEqual([`${KEY}=9`])
  await change(log, [[KEY, 'more']])
  expect(await latestOf(tables, KEY)).toBe('more')
  expect(tables.status()[0]).toMatchObject({ rebuilds: 0, lagRecords: 0 })
})

it('a hole that is found where retention has passed already changes nothing; one that reaches above its start does', async () => {
  const holes: { from: number; to: number; reason: string }[] = []
  const { disk, log, pass } = await passedLog(holes)
  const tables = openTables(disk, log)
  expect(await latestOf(tables, KEY)).toBe('9')
  await pass()
  holes.push({ from: 2, to: 5, reason: 'damage' })
  await change(log, [[KEY, 'more']])
  expect(await latestOf(tables, KEY)).toBe('more')
  expect(tables.status()[0]!.rebuilds).toBe(0)
  holes.push({ from: 2, to: 6, reason: 'damage' })
  await change(log, [[KEY, 'and more']])
  await until(() => tables.status()[0]!.rebuilds === 1, 'it is built again')
  expect(await latestOf(tables, KEY)).toBe('and more')
})
