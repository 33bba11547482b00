/** The change feed: without a gap, none twice, while the log grows and while its start moves. */
import { describe, expect, it } from 'vitest'
import { trimBatch } from '../../../broker/log/batch-trim.ts'
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import type { TableChange } from '../../../broker/tables/change-feed.ts'
import type { TableEntry } from '../../../broker/tables/table-entry.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { committed, openLog } from '../log/support.ts'
import {
  appendChanges,
  change,
  collected,
  entriesOf,
  moveLogStart,
  openTables,
  STREAM,
  shown,
} from './support.ts'

const never = new AbortController().signal
const from = (...offsets: number[]) => new Map(offsets.entries())
const flat = async (pages: AsyncIterable<readonly TableChange[]>) =>
  entriesOf((await collected(pages)).flat())

async function opened(partitions = 1) {
  const disk = new MemoryDisk()
  const log = await openLog(disk, { streams: [{ name: STREAM, partitions }] })
  return { log, tables: openTables(disk, log) }
}

describe('the changes of a table', () => {
  it('are its records from an offset on, tombstones included', async () => {
    const { log, tables } = await opened()
    await change(log, [
      ['a', '0'],
      ['b', '1'],
    ])
    await change(log, [
      ['a', null],
      ['b', '3'],
    ])
    const changes = await flat(tables.changes(STREAM, { from: from(1), follow: false, signal: never }))
    expect(shown(changes)).toEqual(['b=1', 'a=null', 'b=3'])
    expect(changes.map(({ offset, partition }) => `${partition}/${offset}`)).toEqual(['0/1', '0/2', '0/3'])
    expect(await flat(tables.changes(STREAM, { from: from(4), follow: false, signal: never }))).toEqual([])
  })

  it('are those of the keys that are asked for', async () => {
    const { log, tables } = await opened()
    await change(log, [
      ['a/1', '0'],
      ['b', '1'],
      ['a/2', '2'],
      ['a', '3'],
    ])
    const request = { from: from(0), follow: false, signal: never }
    const prefix = Buffer.from('a/')
    expect(shown(await flat(tables.changes(STREAM, request, { prefix })))).toEqual(['a/1=0', 'a/2=2'])
    const only = Buffer.from('a')
    expect(shown(await flat(tables.changes(STREAM, request, { only })))).toEqual(['a=3'])
  })

  it('do not have records that the table passes over', async () => {
    const { log, tables } = await opened(2)
    const { chain, partitions } = log.stream(STREAM)
    for (const partition of partitions) {
      chain.append(partition, 1000, null, Buffer.from('no key'), NO_HEADERS)
      chain.append(partition, 1000, Buffer.from('a'), Buffer.from('v'), NO_HEADERS)
    }
    await committed(log)
    const changes = await flat(tables.changes(STREAM, { from: from(0, 0), follow: false, signal: never }))
    expect(shown(changes)).toEqual(['a=v'])
  })

  it('end with the lowest offset when retention has removed what is asked for', async () => {
    const { log, tables } = await opened()
    await change(log, [
      ['a', '0'],
      ['b', '1'],
      ['c', '2'],
    ])
    moveLogStart(log, 0, 2)
    const changes = flat(tables.changes(STREAM, { from: from(1), follow: true, signal: never }))
    await expect(changes).rejects.toMatchObject({
      code: 'HW_OFFSET_GONE',
      line: 'HW_OFFSET_GONE: offset 1 of events/0 is no longer in the log - the lowest is 2',
    })
    const rest = await flat(tables.changes(STREAM, { from: from(2), follow: false, signal: never }))
    expect(shown(rest)).toEqual(['c=2'])
  })

  it('end the same way when retention overtakes a follower', async () => {
    const { log, tables } = await opened()
    await change(log, [['a', '0']])
    const feed = tables.changes(STREAM, { from: from(0), follow: true, signal: never })
    expect(shown(entriesOf((await feed.next()).value as TableChange[]))).toEqual(['a=0'])
    appendChanges(log, [
      ['b', '1'],
      ['c', '2'],
    ])
    await committed(log)
    moveLogStart(log, 0, 2)
    await expect(feed.next()).rejects.toMatchObject({ code: 'HW_OFFSET_GONE' })
  })

  it('name what is lost in its place, once, and go on behind it', async () => {
    const { log, tables } = await opened()
    await change(log, [
      ['a', '0'],
      ['b', '1'],
      ['c', '2'],
      ['c', '3'],
    ])
    const read = log.read.bind(log)
    // as after a salvage: the batch is left without its middle
    log.lostOffsets = () => [{ from: 1, to: 2, reason: 'segment 1 was salvaged' }]
    log.read = async (...asked) => {
      const batches = await read(...asked)
      return batches.map((batch) => ({ ...batch, bytes: trimBatch(batch.bytes, 2)! }))
    }
    const request = { from: from(1), follow: false, signal: never }
    const found = (await collected(tables.changes(STREAM, request, { prefix: Buffer.from('c') }))).flat()
    expect(found).toEqual([
      { partition: 0, gap: { from: 1, to: 2, reason: 'segment 1 was salvaged' } },
      expect.objectContaining({ offset: 2, key: Buffer.from('c') }),
      expect.objectContaining({ offset: 3, key: Buffer.from('c') }),
    ])
    expect(await flat(tables.changes(STREAM, { ...request, from: from(2) }))).toHaveLength(2)
  })

  it('go on with what is written later, until the reader leaves', async () => {
    const { log, tables } = await opened()
    const leave = new AbortController()
    const feed = tables.changes(STREAM, { from: from(0), follow: true, signal: leave.signal })
    const first = feed.next()
    await change(log, [['a', '0']])
    expect(shown(entriesOf((await first).value as TableChange[]))).toEqual(['a=0'])
    const last = feed.next()
    leave.abort()
    expect((await last).done).toBe(true)
  })
})

describe('a table that is followed', () => {
  const PARTITIONS = 3
  /** One key of each partition. */
  const LAST_KEYS = Array.from({ length: PARTITIONS }, (_, partition) => {
    for (let i = 0; ; i++) {
      if (partitionOf(Buffer.from(`last ${i}`), PARTITIONS) === partition) return `last ${i}`
    }
  })

  /** Everything that was written, by partition: what a feed from 0 brings. */
  async function history(tables: ReturnType<typeof openTables>): Promise<TableEntry[][]> {
    const all = await flat(
      tables.changes(STREAM, { from: from(...LAST_KEYS.map(() => 0)), follow: false, signal: never }),
    )
    return LAST_KEYS.map((_, partition) => all.filter((entry) => entry.partition === partition))
  }

  it('shows its entries and then every change, without a gap and none twice, while it is written', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const { log, tables } = await opened(PARTITIONS)
    let written = 0
    const write = async () => {
      appendChanges(
        log,
        Array.from({ length: random.between(1, 20) }, () => {
          return [`key ${random.between(0, 39)}`, random.next() < 0.2 ? null : String(written++)] as const
        }),
      )
      await committed(log)
    }
    for (let i = 0; i < 20; i++) await write()

    // where the snapshot ends and the feed begins
    let positions: ReadonlyMap<number, number> = new Map()
    const changes = tables.changes.bind(tables)
    let entries: TableEntry[] = []
    let snapshot: TableEntry[] = []
    tables.changes = (stream, request, range) => {
      positions = request.from
      snapshot = entries
      entries = []
      return changes(stream, request, range)
    }
    const leave = new AbortController()
    const following = (async () => {
      const waitedFor = new Set(LAST_KEYS)
      for await (const page of tables.follow(STREAM, {}, leave.signal)) {
        entries.push(...entriesOf(page))
        for (const { key } of entriesOf(page)) waitedFor.delete(key.toString())
        if (waitedFor.size === 0) return
      }
    })()
    for (let i = 0; i < 60; i++) await write()
    await change(
      log,
      LAST_KEYS.map((key) => [key, 'last'] as const),
    )
    await following
    tables.changes = changes

    const told = ({ partition, offset, key, value }: TableEntry) => `${partition}/${offset} ${key}=${value}`
    const everything = await history(tables)
    const fold = new Map<string, TableEntry>()
    for (const [partition, records] of everything.entries()) {
      const at = positions.get(partition)!
      for (const record of records.filter(({ offset }) => offset < at)) {
        fold.delete(record.key.toString())
        if (record.value !== null) fold.set(record.key.toString(), record)
      }
      expect(
        entries.filter((entry) => entry.partition === partition).map(told),
        `seed ${seed}: every change from ${at} on`,
      ).toEqual(records.filter(({ offset }) => offset >= at).map(told))
    }
    const sorted = [...fold].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => told(entry))
    expect(snapshot.map(told), `seed ${seed}: the entries at that moment`).toEqual(sorted)
    expect(snapshot.length).toBeGreaterThan(10)
    expect(entries.length).toBeGreaterThan(10)
  })
})
