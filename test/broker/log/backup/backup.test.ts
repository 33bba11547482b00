/** What a backup holds of a log that does not stand still: commits under way, segments replaced and dropped, damage, failures. */
import { closeSync, openSync, readdirSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LogUnavailableError } from '../../../../broker/errors.ts'
import type { Chain } from '../../../../broker/log/chain.ts'
import { commitKey } from '../../../../broker/log/commit-key.ts'
import { NO_HEADERS } from '../../../../broker/log/record-batch.ts'
import { segmentDirectory } from '../../../../broker/log/segment.ts'
import { type Keep, rewriteSegments } from '../../../../broker/log/segment-rewriter.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { append, committed, temporaryDirectory, until } from '../support.ts'
import { backupInSteps, check, collect, type Opened, openAll, recordsIn, restore } from './support.ts'

async function opened(disk: Disk = new MemoryDisk()): Promise<{ disk: Disk; path: string; all: Opened }> {
  const path = temporaryDirectory()
  await disk.makeDirectory(path)
  return { disk, path, all: await openAll(disk, path) }
}

/** Restores on a disk in memory and opens the log. */
async function restored(bytes: Buffer): Promise<Opened> {
  const disk = new MemoryDisk()
  const path = temporaryDirectory()
  await disk.makeDirectory(path)
  await restore(disk, path, bytes)
  return openAll(disk, path)
}

const valuesIn = async ({ log }: Opened, partition = 0) =>
  (await recordsIn(log, 'events', partition)).map(({ offset, value }) => `${offset}:${value}`)

/** Three segments of three commits each and an active one; partition 0 has the values 0 to 8. */
async function threeSegments(): Promise<{ all: Opened; disk: Disk; chain: Chain }> {
  const { disk, all } = await opened()
  const chain = all.log.chains()[0]!
  for (let i = 0; i < 9; i++) {
    await append(all.log, 0, [`${i}`])
    if (i % 3 === 2) chain.roll()
  }
  await committed(all.log)
  expect(chain.row.sealed).toHaveLength(3)
  return { all, disk, chain }
}

/** Runs `change` once `count` pieces have come; in steps of one commit. */
async function backupWith(
  all: Opened,
  disk: Disk,
  count: number,
  change: () => Promise<void>,
): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of backupInSteps(all, disk, 1)) {
    pieces.push(Buffer.from(piece))
    if (pieces.length === count) await change()
  }
  expect(pieces.length).toBeGreaterThan(count)
  return Buffer.concat(pieces)
}

async function rewrite(chain: Chain, from: number, to: number, keep: Keep = () => true): Promise<void> {
  const run = chain.row.sealed.slice(from, to)
  const { segment } = (await rewriteSegments(chain, run, keep, { isClosing: () => false }))!
  expect(await chain.rearrange({ remove: run, insert: segment! })).toBe(true)
}

/** Seals a segment of 100 records of 2 kB. @returns the largest of its tables */
async function sealTables(all: Opened, path: string): Promise<string> {
  for (let i = 0; i < 100; i++) await append(all.log, 0, [`${i} ${'x'.repeat(2000)}`])
  all.log.chains()[0]!.roll()
  await append(all.log, 0, ['active'])
  const directory = segmentDirectory(join(path, 'log', 'main'), '00000001')
  const tables = readdirSync(directory).filter((name) => name.endsWith('.ldb'))
  const files = tables.map((name) => join(directory, name))
  return files.toSorted((a, b) => statSync(b).size - statSync(a).size)[0]!
}

/** Damages the middle of a file where it lies. */
function overwrite(file: string): void {
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, Buffer.alloc(20_000, 0xff), 0, 20_000, Math.floor(statSync(file).size / 2))
  closeSync(descriptor)
}

describe('a backup', () => {
  it('has all that was acknowledged before the call, as a prefix, while four publishers write', async () => {
    const { path, all } = await opened(nodeDisk)
    const { chain, partitions } = all.log.stream('events')
    const appended: string[][] = [[], []]
    let acknowledged: number[] = [0, 0]
    const durable = [0, 0]
    let isDone = false
    const publish = async (publisher: number): Promise<void> => {
      const partition = publisher % 2
      while (!isDone) {
        for (let n = 0; n < 20; n++) {
          const value = `${appended[partition]!.length}`.padEnd(100, '.')
          chain.append(partitions[partition]!, 1000, null, Buffer.from(value), NO_HEADERS)
          appended[partition]!.push(value)
        }
        const count = appended[partition]!.length
        await committed(all.log)
        durable[partition] = Math.max(durable[partition]!, count)
        if (Math.floor(chain.durableCommit / 20) >= chain.segments.length) chain.roll()
      }
    }
    const publishers = [0, 1, 2, 3].map(publish)
    await until(() => chain.segments.length > 3, 'there are some segments')
    acknowledged = [...durable]
    const bytes = await collect(all.log.backup())
    isDone = true
    await Promise.all(publishers)
    expect((await check(bytes)).segments).toBeGreaterThan(3)
    await all.close()

    const elsewhere = join(path, 'restored')
    await restore(nodeDisk, elsewhere, bytes)
    const again = await openAll(nodeDisk, elsewhere)
    expect((await again.log.verify()).problems).toEqual([])
    for (const partition of [0, 1]) {
      const found = (await recordsIn(again.log, 'events', partition)).map(({ value }) => value)
      expect(found.length).toBeGreaterThanOrEqual(acknowledged[partition]!)
      expect(found).toEqual(appended[partition]!.slice(0, found.length))
    }
  })

  it('is cut between two commits: it has the QoS 2 ids of what is in it, and no others', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const { all } = await opened(disk)
    const ids = all.qos2.get('main')!
    const message = (packetId: number) => ({
      clientId: 'c',
      packetId,
      isDup: false,
      topic: 't',
      payload: Buffer.from('p'),
    })
    const publish = (packetId: number) => {
      ids.add(message(packetId))
      return append(all.log, 0, [`${packetId}`])
    }
    await publish(1)
    const gate = disk.hold('sync', 'log/main')
    const second = publish(2)
    await gate.reached
    // this one waits for the next commit, which begins right after the cut
    const third = publish(3)
    const backup = collect(all.log.backup())
    await new Promise((resolve) => setImmediate(resolve))
    gate.release()
    const [bytes] = await Promise.all([backup, second, third])
    const again = await restored(bytes)
    expect(await valuesIn(again)).toEqual(['0:1', '1:2'])
    const found = again.qos2.get('main')!
    expect([1, 2, 3].map((packetId) => found.isRepetition(message(packetId)))).toEqual([true, true, false])
  })

  it('of a log without a record is a log without a record', async () => {
    const { all } = await opened()
    const again = await restored(await collect(all.log.backup()))
    await append(again.log, 0, ['first'])
    expect(await valuesIn(again)).toEqual(['0:first'])
    expect((await again.log.verify()).problems).toEqual([])
  })

  it('keeps the next offsets of partitions that retention has emptied', async () => {
    const { all, chain, disk } = await threeSegments()
    const starts = new Map([[0, 9]])
    await chain.rearrange({ remove: chain.row.sealed, starts })
    const again = await restored(await collect(backupInSteps(all, disk, 1000)))
    expect(again.log.partitions()[0]).toMatchObject({ logStartOffset: 9, durableOffset: 9 })
    await append(again.log, 0, ['next'])
    expect(await valuesIn(again)).toEqual(['9:next'])
  })

  it('goes on behind a segment that was replaced when half of it was copied, with no record twice', async () => {
    const { all, disk, chain } = await threeSegments()
    // start, header, chain, segment, head, 0, 1: then one batch holds all
    const bytes = await backupWith(all, disk, 7, () => rewrite(chain, 0, 3))
    const again = await restored(bytes)
    expect(await valuesIn(again)).toEqual(Array.from({ length: 9 }, (_, i) => `${i}:${i}`))
    expect((await again.log.verify()).problems).toEqual([])
    expect(again.log.chains()[0]!.row.sealed.slice(0, 2)).toMatchObject([
      { id: '00000001', lastCommit: 3, isRewritten: false },
      { id: '00000005', firstCommit: 4, isRewritten: true },
    ])
  })

  it('has the newest record of a key when compaction takes the one before the cut because of one behind it', async () => {
    const { all, disk, chain } = await threeSegments()
    const bytes = await backupWith(all, disk, 7, async () => {
      await append(all.log, 0, ['newer 5'])
      // as if value 5 had its key: it lies in the second segment, which was not copied yet
      await rewrite(chain, 1, 2, (_id, { offset }) => offset !== 5)
    })
    const again = await restored(bytes)
    expect(await valuesIn(again)).toEqual([
      '0:0',
      '1:1',
      '2:2',
      '3:3',
      '4:4',
      '6:6',
      '7:7',
      '8:8',
      '9:newer 5',
    ])
    expect((await again.log.verify()).problems).toEqual([])
  })

  it('begins where the log begins at its end, when retention takes segments before their turn', async () => {
    const { all, disk, chain } = await threeSegments()
    const bytes = await backupWith(all, disk, 7, async () => {
      const starts = new Map([[0, 6]])
      await chain.rearrange({ remove: chain.row.sealed.slice(0, 2), starts })
    })
    const again = await restored(bytes)
    expect(await valuesIn(again)).toEqual(['6:6', '7:7', '8:8'])
    expect((await again.log.verify()).problems).toEqual([])
  })

  it('waits for a log whose storage fails meanwhile and opens again', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const { all } = await opened(disk)
    for (const value of ['a', 'b', 'c']) await append(all.log, 0, [value])
    const bytes = await backupWith(all, disk, 6, async () => {
      disk.fail({ on: 'sync', path: 'log/main' })
      await expect(append(all.log, 0, ['lost'])).rejects.toThrow('could not commit')
    })
    expect(await valuesIn(await restored(bytes))).toEqual(['0:a', '1:b', '2:c'])
  })

  it('ends with an error when the log is closed meanwhile, and is then no whole one', async () => {
    const { all, disk } = await threeSegments()
    const pieces: Buffer[] = []
    const reading = (async () => {
      for await (const piece of backupInSteps(all, disk, 1)) {
        pieces.push(Buffer.from(piece))
        if (pieces.length === 6) await all.close()
      }
    })()
    await expect(reading).rejects.toThrow(LogUnavailableError)
    await expect(check(Buffer.concat(pieces))).rejects.toThrow('cut short')
  })
})

describe('a backup of a damaged log', () => {
  it('has damaged batches as they are, and says so; restored, they are damaged again', async () => {
    const { all, disk, chain } = await threeSegments()
    const [, second] = chain.row.sealed
    const store = await disk.openStore(
      segmentDirectory(chain.files.directory, second!.id),
      chain.files.storeOptions,
    )
    const write = store.batch()
    write.put(commitKey(second!.firstCommit + 1, 0), Buffer.from('no batch'))
    await write.write({ sync: true })
    await store.close()
    const bytes = await collect(all.log.backup())
    expect(await check(bytes)).toMatchObject({ isWhole: false, damaged: 1, unreadable: [], records: 8 })
    const again = await restored(bytes)
    expect((await again.log.verify()).problems.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^id 0: a batch of 8 bytes is shorter than its header/),
      'events/0: offset 3 expected, 4 found',
    ])
  })

  it('has what was salvaged of a segment that LevelDB must not open, and says what was lost', async () => {
    const { path, all } = await opened(nodeDisk)
    const table = await sealTables(all, path)
    await all.close()
    overwrite(table)
    const again = await openAll(nodeDisk, path)
    const bytes = await collect(again.log.backup())
    const report = await check(bytes)
    expect(report).toMatchObject({ isWhole: true, partitions: [{ toOffset: 101 }, {}] })
    expect(report.lostOffsets).toBeGreaterThan(3)
    expect(report.records).toBe(101 - report.lostOffsets)
    const elsewhere = temporaryDirectory()
    await restore(nodeDisk, elsewhere, bytes)
    const restoredLog = await openAll(nodeDisk, elsewhere)
    expect(await restoredLog.log.verify()).toMatchObject({ problems: [], records: report.records })
  })

  it('names what LevelDB passes over without a word', async () => {
    const { path, all } = await opened(nodeDisk)
    const table = await sealTables(all, path)
    expect((await check(await collect(all.log.backup()))).isWhole).toBe(true)
    // the segment is open: nobody looks at its files again
    overwrite(table)
    const report = await check(await collect(all.log.backup()))
    expect(report.isWhole).toBe(false)
    const missing = report.unreadable.reduce((sum, { from, to }) => sum + to - from + 1, 0)
    expect(missing).toBeGreaterThan(3)
    // a commit a record
    expect(report.records).toBe(101 - missing)
  })

  it('names a segment of which records are missing although all commits are there', async () => {
    const { disk, all } = await opened()
    const chain = all.log.chains()[0]!
    const both = [append(all.log, 0, ['a']), append(all.log, 1, ['b'])]
    await Promise.all(both)
    chain.roll()
    await append(all.log, 0, ['c'])
    const directory = segmentDirectory(chain.files.directory, '00000001')
    const store = await disk.openStore(directory, chain.files.storeOptions)
    const write = store.batch()
    write.delete(commitKey(2, 0))
    await write.write({ sync: true })
    await store.close()
    expect(await check(await collect(all.log.backup()))).toMatchObject({
      isWhole: false,
      records: 2,
      unreadable: [{ from: 1, to: 2, reason: 'records of events/0 are missing in them: 1' }],
    })
  })

  it('fails where a segment cannot be opened for a reason that passes, instead of leaving it out', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const { all } = await opened(disk)
    const chain = all.log.chains()[0]!
    await append(all.log, 0, ['a'])
    chain.roll()
    await append(all.log, 0, ['b'])
    disk.fail({ on: 'range', path: '00000001', code: 'ENOSPC', times: 2 })
    await expect(collect(all.log.backup())).rejects.toThrow(/no space left/i)
    disk.fail({ on: 'range', path: '00000001', code: 'EIO', times: Number.POSITIVE_INFINITY })
    expect(await check(await collect(all.log.backup()))).toMatchObject({
      unreadable: [{ chain: 'main', from: 1, to: 2, reason: expect.stringContaining('EIO') }],
      records: 1,
    })
  })
})
