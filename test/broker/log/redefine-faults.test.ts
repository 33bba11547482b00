/** Other streams while the disk fails, the power goes, the log closes, is backed up, or is told twice at once. */
import { expect, test } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { DEFAULT_BUDGET, DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog, readAll, temporaryDirectory } from './support.ts'

const EVENTS = { name: 'events', partitions: 2 }
const compacted = { ...DEFAULT_POLICY, compacts: true, deletes: false }
const kept = (name: string, partitions = 1) => ({ name, partitions, policy: compacted })
type Wanted = Parameters<EventLog['redefine']>[0]
const settings = (streams: Wanted['streams']): Wanted => ({
  streams,
  budget: DEFAULT_BUDGET,
  dirtyShare: 0.5,
})

test('a stream that could not be made leaves nothing of itself to one with another name', async () => {
  const disk = new FaultyDisk(nodeDisk)
  const path = temporaryDirectory()
  const log = await openLog(disk, { path })
  disk.fail({ on: 'replace', path: 'catalog.json' })
  await expect(log.redefine(settings([EVENTS, kept('first', 3)]))).rejects.toThrow()
  expect(log.chains().map(({ name }) => name)).toEqual(['main'])
  disk.heal()
  await log.redefine(settings([EVENTS, kept('second')]))
  await append(log, 0, ['a'], { stream: 'second' })
  const cursor = log.openCursor(new Map())
  const batches = await cursor.next(1e6)
  await cursor.close()
  expect(batches.map(({ stream }) => stream)).toEqual(['second'])
  expect([...log.stream('second').chain.partitions.values()].map(({ stream }) => stream)).toEqual(['second'])
  await log.close()
  const again = await openLog(nodeDisk, { path })
  expect(again.streams().map(({ stream }) => stream)).toEqual(['events', 'second'])
  expect(await readAll(again, 0, { stream: 'second' })).toEqual(['0:a'])
})

test('a power cut at any step leaves the streams of before or of after, and what was acknowledged', async () => {
  const wanted = settings([EVENTS, kept('states'), { name: 'alarms', partitions: 3 }])
  const whole = new Set<string>()
  for (let step = 1; ; step++) {
    const memory = new MemoryDisk()
    const disk = new FaultyDisk(memory)
    const log = await openLog(disk)
    await append(log, 0, ['a'])
    disk.cutPowerAt(step)
    const isDone = await log.redefine(wanted).then(
      () => true,
      () => false,
    )
    let isAcknowledged = false
    if (isDone) {
      isAcknowledged = await append(log, 0, ['b'], { stream: 'states' }).then(
        () => true,
        () => false,
      )
    }
    await log.close().catch(() => {})
    disk.heal()
    const again = await openLog(new FaultyDisk(memory))
    expect(await readAll(again, 0)).toEqual(['0:a'])
    const names = again.streams().map(({ stream }) => stream)
    whole.add(names.join())
    if (isDone) expect(names).toEqual(['events', 'states', 'alarms'])
    if (isAcknowledged) expect(await readAll(again, 0, { stream: 'states' })).toEqual(['0:b'])
    // whatever is there, the same and other streams can be made of it
    await again.redefine(settings([...wanted.streams, kept('more', 2)]))
    await append(again, 1, ['c'], { stream: 'more' })
    expect(await readAll(again, 1, { stream: 'more' })).toEqual(['0:c'])
    expect((await again.verify()).problems).toEqual([])
    await again.close()
    if (isAcknowledged) break
  }
  expect([...whole].sort()).toEqual(['events', 'events,states,alarms'])
})

test('two that come at once are carried out one after the other', async () => {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path })
  await Promise.all([
    log.redefine(settings([EVENTS, kept('states')])),
    log.redefine(settings([EVENTS, kept('others', 2), { name: 'alarms', partitions: 1 }])),
  ])
  await append(log, 0, ['s'], { stream: 'states' })
  await append(log, 0, ['o'], { stream: 'others' })
  await append(log, 0, ['a'], { stream: 'alarms' })
  const ids = log.streams().flatMap(({ stream }) => log.stream(stream).partitions.map(({ id }) => id))
  expect(new Set(ids).size).toBe(6)
  expect(log.chains().map(({ name }) => name)).toEqual(['main', 'compacted'])
  await log.close()
  const again = await openLog(nodeDisk, { path })
  for (const [stream, value] of Object.entries({ states: 's', others: 'o', alarms: 'a' }))
    expect(await readAll(again, 0, { stream })).toEqual([`0:${value}`])
})

test('a log that closes meanwhile leaves no chain open, and takes nothing up afterwards', async () => {
  const disk = new FaultyDisk(nodeDisk)
  const path = temporaryDirectory()
  const log = await openLog(disk, { path })
  const gate = disk.hold('replace')
  const redefined = log.redefine(settings([EVENTS, kept('states')]))
  await gate.reached
  const closed = log.close()
  gate.release()
  await redefined
  await closed
  expect(log.chains().map(({ condition }) => condition.state)).toEqual(['closed', 'closed'])
  await expect(log.redefine(settings([EVENTS, kept('more')]))).rejects.toThrow('closed')
})

test('the first compacted stream of a log whose disk is full takes no records until there is room', async () => {
  const log = await openLog(nodeDisk, { path: temporaryDirectory() })
  await append(log, 0, ['a'])
  const full = { bytesMax: 1, reserveBytes: 0 }
  await log.redefine({ streams: [EVENTS], budget: full, dirtyShare: 0.5 })
  await log.janitor.run()
  expect(log.stream('events').chain.admission.isHeld).toBe(true)
  await log.redefine({ streams: [EVENTS, kept('states')], budget: full, dirtyShare: 0.5 })
  expect(log.stream('states').chain.admission.isHeld).toBe(true)
  await log.redefine(settings([EVENTS, kept('states')]))
  await log.janitor.run()
  expect(log.stream('states').chain.admission.isHeld).toBe(false)
})

test('a thousand times other streams: nothing is kept of those that were', async () => {
  const log = await openLog(new MemoryDisk())
  const sizes = () => [log.streams().length, log.chains().length, log.stream('events').chain.partitions.size]
  await log.redefine(settings([EVENTS, kept('states')]))
  const before = sizes()
  for (let turn = 0; turn < 1000; turn++)
    await log.redefine(settings(turn % 2 === 0 ? [EVENTS] : [EVENTS, kept('states')]))
  expect(sizes()).toEqual(before)
  await append(log, 0, ['s'], { stream: 'states' })
})
