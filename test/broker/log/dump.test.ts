/** What lies in the log is shown as it lies there: whole, damaged, missing. */
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { UnknownPartitionError, UnknownStreamError } from '../../../broker/errors.ts'
import { commitKey } from '../../../broker/log/commit-key.ts'
import type { Dumped, DumpedBatch, DumpQuery } from '../../../broker/log/dump.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { BatchBuilder, NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { indexFile, segmentDirectory } from '../../../broker/log/segment.ts'
import { Qos2Ids } from '../../../broker/mqtt/qos2.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog, temporaryDirectory } from './support.ts'

const ALL: DumpQuery = { stream: null, partition: null, from: null, to: null, segment: null, records: false }

async function dump(log: EventLog, query: Partial<DumpQuery> = {}): Promise<Dumped[]> {
  const all: Dumped[] = []
  for await (const dumped of log.dump({ ...ALL, ...query })) all.push(dumped)
  return all
}

const brief = (all: readonly Dumped[]) =>
  all.map((dumped) => {
    if (dumped.type === 'segment')
      return `segment ${dumped.segment} ${dumped.firstCommit}-${dumped.lastCommit}`
    if (dumped.type === 'unreadable') return `${dumped.commit}-${dumped.toCommit} unreadable`
    const fault = dumped.fault === null ? '' : ' damaged'
    if (dumped.type === 'note') return `${dumped.commit} note${fault}`
    return `${dumped.commit} ${dumped.stream}/${dumped.partition} ${dumped.baseOffset}-${dumped.nextOffset}${fault}`
  })

const STREAMS = [
  { name: 'events', partitions: 2 },
  { name: 'alarms', partitions: 1 },
]

/** Commits: 1 head, 2 events/0, 3 events/0, alarms | 4 head, 5 events/1, 6 events/0. */
async function twoSegments(disk: Disk = new MemoryDisk(), path = '/data'): Promise<EventLog> {
  const ids = new Qos2Ids()
  const log = await openLog(disk, { path, streams: STREAMS, states: [ids] })
  ids.add({ clientId: 'c', packetId: 7, isDup: false, topic: 't', payload: Buffer.from('p') })
  await append(log, 0, ['a', 'b'], { timestamp: 2000 })
  const both = append(log, 0, ['c'], { timestamp: 1500 })
  await Promise.all([both, append(log, 0, ['!'], { stream: 'alarms' })])
  log.chains()[0]!.roll()
  await append(log, 1, ['d'])
  await append(log, 0, ['e'])
  return log
}

/** Changes the entry of a commit behind the log's back. */
async function change(
  disk: Disk,
  log: EventLog,
  commit: number,
  id: number,
  value: Buffer | null,
): Promise<void> {
  const { files, segments } = log.chains()[0]!
  const { id: segment } = segments.find(({ lastCommit }) => lastCommit >= commit)!
  const store = await disk.openStore(segmentDirectory(files.directory, segment), files.storeOptions)
  const write = store.batch()
  if (value === null) write.delete(commitKey(commit, id))
  else write.put(commitKey(commit, id), value)
  await write.write({ sync: true })
  await store.close()
}

describe('a dump', () => {
  it('shows segments, batches and notes in commit order', async () => {
    const all = await dump(await twoSegments())
    expect(brief(all)).toEqual([
      'segment 00000001 1-3',
      '1 note',
      '2 events/0 0-2',
      '2 note',
      '3 events/0 2-3',
      '3 alarms/0 0-1',
      'segment 00000002 4-6',
      '4 note',
      '5 events/1 0-1',
      '6 events/0 3-4',
    ])
    expect(all[0]).toMatchObject({ chain: 'main', isSealed: true, isRewritten: false, index: 'whole' })
    expect(all[6]).toMatchObject({ isSealed: false, index: 'in memory', sealedAt: null })
    expect(all[2]).toMatchObject({ records: 2, minTimestamp: 2000, maxTimestamp: 2000, fault: null, id: 0 })
    expect(all[3]).toMatchObject({ note: { states: { qos2: [[0, 'c', 7, expect.any(Number)]] } } })
    expect(all[7]).toMatchObject({
      note: {
        head: {
          next: [
            [0, 3],
            [2, 1],
          ],
          states: { qos2: expect.any(Array) },
        },
      },
    })
    expect(all[2]).not.toHaveProperty('content')
  })

  it('keeps to a stream, a partition, offsets, a segment', async () => {
    const log = await twoSegments()
    expect(brief(await dump(log, { stream: 'alarms' }))).toEqual([
      'segment 00000001 1-3',
      '3 alarms/0 0-1',
      'segment 00000002 4-6',
    ])
    expect(brief(await dump(log, { stream: 'events', partition: 0, from: 2, to: 3 }))).toEqual([
      'segment 00000001 1-3',
      '3 events/0 2-3',
      'segment 00000002 4-6',
    ])
    expect(brief(await dump(log, { stream: 'events', from: 3 }))).toEqual([
      'segment 00000002 4-6',
      '6 events/0 3-4',
    ])
    for (const segment of ['00000002', 'main/00000002']) {
      expect(brief(await dump(log, { segment }))).toHaveLength(4)
    }
    expect(await dump(log, { segment: '00000009' })).toEqual([])
    expect(() => log.dump({ ...ALL, stream: 'nope' })).toThrow(UnknownStreamError)
    expect(() => log.dump({ ...ALL, stream: 'events', partition: 2 })).toThrow(UnknownPartitionError)
  })

  it('has the records where they are asked for, those in the offsets alone', async () => {
    const all = await dump(await twoSegments(), {
      stream: 'events',
      partition: 0,
      from: 1,
      to: 3,
      records: true,
    })
    const content = all.flatMap((dumped) => (dumped.type === 'batch' ? dumped.content! : []))
    expect(content.map(({ offset, value }) => `${offset}:${value}`)).toEqual(['1:b', '2:c'])
  })

  it('names what is damaged and goes on', async () => {
    const disk = new MemoryDisk()
    const log = await twoSegments(disk)
    const builder = new BatchBuilder()
    builder.append(1000, null, Buffer.from('a'), NO_HEADERS)
    const batch = Buffer.from(builder.seal(0))
    batch[batch.length - 2]! ^= 1
    await change(disk, log, 2, 0, batch)
    await change(disk, log, 1, 0xffffffff, Buffer.from('no note'))
    await change(disk, log, 3, 0, Buffer.from('short'))
    await change(disk, log, 3, 77, Buffer.from('whose?'))
    const all = await dump(log, { segment: '00000001' })
    expect(brief(all)).toEqual([
      'segment 00000001 1-3',
      '1 note damaged',
      '2 events/0 null-null damaged',
      '2 note',
      '3 events/0 null-null damaged',
      '3 alarms/0 0-1',
      '3 /77 null-null damaged',
    ])
    expect((all[2] as DumpedBatch).fault).toMatch(/^the batch's CRC is/)
    expect(brief(await dump(log, { stream: 'events', partition: 0 }))).toContain(
      '2 events/0 null-null damaged',
    )
  })

  it('names commits that are missing, and those that LevelDB cannot read', async () => {
    const below = new MemoryDisk()
    const disk = new FaultyDisk(below)
    const log = await twoSegments(disk)
    await change(below, log, 2, 0, null)
    await change(below, log, 2, 0xffffffff, null)
    expect(brief(await dump(log, { segment: '00000001' }))).toEqual([
      'segment 00000001 1-3',
      '1 note',
      '2-2 unreadable',
      '3 events/0 2-3',
      '3 alarms/0 0-1',
    ])
    disk.fail({ on: 'range', path: '00000001', times: 2 })
    const all = await dump(log)
    expect(brief(all).slice(0, 3)).toEqual(['segment 00000001 1-3', '1-1 unreadable', '2-2 unreadable'])
    expect(all[1]).toMatchObject({ reason: 'EIO: i/o error, fdatasync' })
  })

  it('says how the index of a sealed segment is', async () => {
    const path = temporaryDirectory()
    const log = await twoSegments(nodeDisk, path)
    const file = indexFile(log.chains()[0]!.files.directory, '00000001')
    const stateOf = async () => (await dump(log, { segment: '00000001' }))[0]
    writeFileSync(file, 'HWIX?')
    expect(await stateOf()).toMatchObject({ index: 'damaged' })
    await nodeDisk.remove(file)
    expect(await stateOf()).toMatchObject({ index: 'missing' })
  })
})
