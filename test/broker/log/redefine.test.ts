/** A log that takes up other streams and policies while it is open. */
import { expect, test } from 'vitest'
import { StreamDefinitionError } from '../../../broker/errors.ts'
import { DEFAULT_BUDGET, DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { append, openLog, readAll, temporaryDirectory } from './support.ts'

const EVENTS = { name: 'events', partitions: 2 }
const compacted = { ...DEFAULT_POLICY, compacts: true, deletes: false }
const settings = (streams: Parameters<Awaited<ReturnType<typeof openLog>>['redefine']>[0]['streams']) => ({
  streams,
  budget: DEFAULT_BUDGET,
  dirtyShare: 0.5,
})

test('a new stream takes records at once, and has them after a start that does not name it', async () => {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path })
  await append(log, 0, ['a'])
  await log.redefine(settings([EVENTS, { name: 'alarms', partitions: 3 }]))
  await append(log, 2, ['b'], { stream: 'alarms' })
  await append(log, 0, ['c'])
  expect(log.streams().map(({ stream, partitions }) => [stream, partitions])).toEqual([
    ['events', 2],
    ['alarms', 3],
  ])
  await log.close()
  const again = await openLog(nodeDisk, { path })
  expect(await readAll(again, 2, { stream: 'alarms' })).toEqual(['0:b'])
  expect(await readAll(again, 0, { stream: 'events' })).toEqual(['0:a', '1:c'])
})

test('who holds a stream sees its new policy; one that is not named any more is kept for ever', async () => {
  const log = await openLog(nodeDisk, { path: temporaryDirectory() })
  const held = log.stream('events')
  await log.redefine(settings([{ ...EVENTS, policy: { ...DEFAULT_POLICY, priority: 9 } }]))
  expect(held.policy.priority).toBe(9)
  expect(log.stream('events')).toBe(held)
  await log.redefine(settings([{ name: 'other', partitions: 1 }]))
  expect(held.policy).toEqual(DEFAULT_POLICY)
  await append(log, 0, ['still'])
})

test('the first stream that is compacted gets a chain of its own, which readers and the janitor find', async () => {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path })
  let commits = 0
  log.onDurable(() => commits++)
  await log.redefine(settings([EVENTS, { name: 'states', partitions: 1, policy: compacted }]))
  expect(log.chains().map(({ name }) => name)).toEqual(['main', 'compacted'])
  for (const value of ['a', 'a', 'b']) await append(log, 0, [value], { stream: 'states' })
  expect(commits).toBe(3)
  const cursor = log.openCursor(new Map())
  const brought = await cursor.next(1e6)
  expect(brought.map(({ stream }) => stream)).toEqual(['states', 'states', 'states'])
  await cursor.close()
  const [report] = await log.compact('states')
  expect(report).toMatchObject({ recordsRemoved: 1 })
  await log.close()
  const again = await openLog(nodeDisk, { path })
  expect(await readAll(again, 0, { stream: 'states' })).toEqual(['1:a', '2:b'])
})

test('another number of partitions is refused, and nothing has changed', async () => {
  const log = await openLog(nodeDisk, { path: temporaryDirectory() })
  const wanted = settings([
    { name: 'new', partitions: 1 },
    { name: 'events', partitions: 7 },
  ])
  await expect(log.redefine(wanted)).rejects.toThrow(StreamDefinitionError)
  expect(log.streams().map(({ stream }) => stream)).toEqual(['events'])
})

test('a catalog that cannot be written leaves the streams as they are; the next try makes them', async () => {
  const disk = new FaultyDisk(nodeDisk)
  const path = temporaryDirectory()
  const log = await openLog(disk, { path })
  const wanted = settings([EVENTS, { name: 'states', partitions: 1, policy: compacted }])
  disk.fail({ on: 'replace', path: 'catalog.json' })
  await expect(log.redefine(wanted)).rejects.toThrow()
  expect(log.streams().map(({ stream }) => stream)).toEqual(['events'])
  await append(log, 0, ['a'])
  disk.heal()
  await log.redefine(wanted)
  await append(log, 0, ['b'], { stream: 'states' })
  await log.close()
  const again = await openLog(nodeDisk, { path })
  expect(await readAll(again, 0, { stream: 'states' })).toEqual(['0:b'])
})

test('a lost catalog file comes back from the log with the streams that were added while it was open', async () => {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path })
  await log.redefine(settings([EVENTS, { name: 'alarms', partitions: 3 }]))
  await append(log, 1, ['b'], { stream: 'alarms' })
  await log.close()
  await nodeDisk.remove(`${path}/catalog.json`)
  const again = await openLog(nodeDisk, { path, streams: [] })
  expect(await readAll(again, 1, { stream: 'alarms' })).toEqual(['0:b'])
})

test('retention that was shortened removes what it had kept', async () => {
  let now = 10_000
  const options = { path: temporaryDirectory(), segmentBytes: 1e9, trustedNow: () => now }
  const log = await openLog(nodeDisk, options)
  await append(log, 0, ['old'], { timestamp: 1000 })
  now = 1_000_000
  await log.janitor.run()
  expect(log.partitions()[0]).toMatchObject({ logStartOffset: 0 })
  await log.redefine(settings([{ ...EVENTS, policy: { ...DEFAULT_POLICY, retentionMs: 1000 } }]))
  await log.janitor.run()
  await append(log, 0, ['new'], { timestamp: now })
  now += 100_000
  await log.janitor.run()
  await log.janitor.run()
  expect(log.partitions()[0]!.logStartOffset).toBeGreaterThan(0)
})

test('a smaller budget counts at once', async () => {
  const log = await openLog(nodeDisk, { path: temporaryDirectory() })
  expect(log.status().space.bytesMax).toBeNull()
  await log.redefine({ streams: [EVENTS], budget: { bytesMax: 9_000_000, reserveBytes: 5 }, dirtyShare: 0.5 })
  expect(log.status().space).toMatchObject({ bytesMax: 9_000_000, reserveBytes: 5 })
})
