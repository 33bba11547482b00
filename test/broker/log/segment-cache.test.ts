import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { AssertionError } from '../../../broker/assert.ts'
import { LogUnavailableError } from '../../../broker/errors.ts'
import { commitKey, NOTE_ID } from '../../../broker/log/commit-key.ts'
import { encodeNote } from '../../../broker/log/note.ts'
import {
  newSegment,
  type OpenSegment,
  type Segment,
  SegmentCache,
  segmentDirectory,
} from '../../../broker/log/segment.ts'
import { SegmentIndex } from '../../../broker/log/segment-index.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog, temporaryDirectory } from './support.ts'

const OPTIONS = { writeBufferBytes: 1024, createIfMissing: false }

async function setUp(openMax: number) {
  const disk = new FaultyDisk(new MemoryDisk())
  const segments: Segment[] = []
  for (let i = 1; i <= 5; i++) {
    const id = `0000000${i}`
    const store = await disk.openStore(segmentDirectory('/c', id), { ...OPTIONS, createIfMissing: true })
    const batch = store.batch()
    batch.put(commitKey(i, NOTE_ID), encodeNote({ states: {} }))
    await batch.write({ sync: true })
    await store.close()
    segments.push({ ...newSegment(id, i), lastCommit: i, isSealed: true })
  }
  const cache = new SegmentCache(disk, '/c', OPTIONS, undefined, openMax)
  const active = segments.pop()!
  const pin = async () => {
    const store = await disk.openStore(segmentDirectory('/c', active.id), OPTIONS)
    const open: OpenSegment = { store, index: new SegmentIndex(active.firstCommit) }
    cache.pin(active, open)
    return open
  }
  /** True where the cache has the segment's store open: then nobody else gets it. */
  const isOpen = (segment: Segment) =>
    disk.below.openStore(segmentDirectory('/c', segment.id), OPTIONS).then(
      async (store) => {
        await store.close()
        return false
      },
      () => true,
    )
  return { disk, cache, segments, active, pin, isOpen }
}

const ALL = { from: commitKey(0, 0), to: commitKey(99, 0), bytesMax: 1000 }

const turns = async () => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('the cache of open segments', () => {
  it('closes the one that was used longest ago, and never the active one', async () => {
    const { cache, segments, active, pin, isOpen } = await setUp(3)
    const [a, b, c] = segments as [Segment, Segment, Segment]
    await pin()
    const opened = await cache.use(a, async ({ store }) => store)
    await cache.use(b, async () => {})
    expect(await cache.use(a, async ({ store }) => store)).toBe(opened)
    await cache.use(c, async () => {})
    await turns()
    expect(await Promise.all([a, b, c, active].map(isOpen))).toEqual([true, false, true, true])
    await cache.close()
  })

  it('closes one that a reader has passed, but not while another reads it, and never the active one', async () => {
    const { cache, segments, active, pin, isOpen } = await setUp(4)
    const [a, b] = segments as [Segment, Segment]
    await pin()
    await cache.use(a, async () => {})
    await cache.use(b, async () => cache.passed(b))
    for (const segment of [a, active]) cache.passed(segment)
    await turns()
    expect(await Promise.all([a, b, active].map(isOpen))).toEqual([false, true, true])
    expect(await cache.use(a, async ({ store }) => (await store.range(ALL)).length)).toBe(1)
    await cache.close()
  })

  it('keeps open what is being read, also past its limit', async () => {
    const { cache, segments, pin, isOpen } = await setUp(1)
    const [a, b] = segments as [Segment, Segment]
    await pin()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const reading = cache.use(a, () => held)
    await cache.use(b, async () => {})
    await turns()
    expect([await isOpen(a), await isOpen(b)]).toEqual([true, false])
    release()
    await reading
    await turns()
    expect(await isOpen(a)).toBe(false)
    await cache.close()
  })

  it('opens a segment once for readers that come together', async () => {
    const { disk, cache, segments, pin } = await setUp(3)
    await pin()
    const gate = disk.hold('open-store')
    const stores = [0, 1].map(() => cache.use(segments[0]!, async ({ store }) => store))
    await gate.reached
    gate.release()
    const [one, two] = await Promise.all(stores)
    expect(one).toBe(two)
    await cache.close()
  })

  it('opens a segment that is still closing once its lock is free', async () => {
    const { disk, cache, segments, pin } = await setUp(2)
    const [a, b] = segments as [Segment, Segment]
    await pin()
    await cache.use(a, async () => {})
    const gate = disk.hold('close-store')
    await cache.use(b, async () => {})
    await gate.reached
    let isRead = false
    const reading = cache.use(a, async () => {
      isRead = true
    })
    await turns()
    expect(isRead).toBe(false)
    gate.release()
    await reading
    await cache.close()
  })

  it('tries a segment that did not open again at the next read', async () => {
    const { disk, cache, segments, pin } = await setUp(3)
    await pin()
    disk.fail({ on: 'open-store' })
    await expect(cache.use(segments[0]!, async () => {})).rejects.toThrow('EIO')
    expect(await cache.use(segments[0]!, async () => 'read')).toBe('read')
    await cache.close()
  })

  it('lets nobody in between a close and the next pin, so that no store is left open', async () => {
    const { cache, segments, active, pin, isOpen } = await setUp(3)
    await expect(cache.use(segments[0]!, async () => {})).rejects.toThrow(LogUnavailableError)
    await pin()
    await cache.use(segments[0]!, async () => {})
    await cache.close()
    await expect(cache.use(segments[0]!, async () => {})).rejects.toThrow(LogUnavailableError)
    expect(await Promise.all([segments[0]!, active].map(isOpen))).toEqual([false, false])
    await pin()
    await cache.use(segments[0]!, async () => {})
    await cache.close()
  })

  it('closes what is still opening when it is closed', async () => {
    const { disk, cache, segments, pin, isOpen } = await setUp(3)
    await pin()
    const gate = disk.hold('open-store')
    const reading = cache.use(segments[0]!, ({ store }) => store.get(commitKey(1, 0))).catch(() => {})
    await gate.reached
    const closed = cache.close()
    gate.release()
    await closed
    await reading
    expect(await isOpen(segments[0]!)).toBe(false)
  })

  it('pins a segment once', async () => {
    const { cache, active, pin } = await setUp(3)
    const open = await pin()
    expect(() => cache.pin(active, open)).toThrow(AssertionError)
    await cache.close()
  })
})

it('partitions that are read in turns open each sealed segment once for all of them', async () => {
  const path = temporaryDirectory()
  const partitions = 8
  const options = { path, segmentBytes: 4000, streams: [{ name: 'events', partitions }] }
  const written = await openLog(nodeDisk, options)
  for (let i = 0; i < 400; i++) await append(written, i % partitions, [`v${i}`.padEnd(60, '.')])
  const sealed = written.chains()[0]!.row.sealed.map(({ id }) => id)
  // more than are kept open
  expect(sealed.length).toBeGreaterThan(6)
  await written.close()
  const opened: string[] = []
  const openStore: Disk['openStore'] = (directory, storeOptions) => {
    opened.push(basename(directory))
    return nodeDisk.openStore(directory, storeOptions)
  }
  const log = await openLog({ ...nodeDisk, openStore }, options)
  const next = log.partitions().map(() => 0)
  const records = log.partitions().map(() => 0)
  while (log.partitions().some(({ partition, durableOffset }) => next[partition]! < durableOffset)) {
    for (const { partition } of log.partitions()) {
      const batches = await log.read('events', partition, next[partition]!, 1e6)
      records[partition]! += batches.length
      next[partition] = batches.at(-1)?.nextOffset ?? next[partition]!
    }
  }
  expect(records).toEqual(next.map(() => 400 / partitions))
  for (const id of sealed) expect(opened.filter((name) => name === id).length, id).toBe(1)
})
