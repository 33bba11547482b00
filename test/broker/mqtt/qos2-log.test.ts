/** QoS 2 ids and their records share a commit: whatever is cut, one is on disk exactly when the other is. */
import { describe, expect, it } from 'vitest'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { Qos2Ids } from '../../../broker/mqtt/qos2.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { committed, openLog, readAll, until } from '../log/support.ts'

const MESSAGES = 12
/** A few messages fill a segment. */
const SEGMENT_BYTES = 300

function message(i: number) {
  return { clientId: 'c1', packetId: i, isDup: true, topic: 't', payload: Buffer.from(`m${i}`) }
}

async function openWithIds(disk: FaultyDisk) {
  const ids = new Qos2Ids()
  const log = await openLog(disk, { segmentBytes: SEGMENT_BYTES, states: [ids] })
  const accept = async (i: number) => {
    const { chain, partitions } = log.stream('events')
    chain.append(partitions[0]!, 1000, null, Buffer.from(`m${i}`), NO_HEADERS)
    ids.add(message(i))
    await committed(log)
  }
  return { log, ids, accept }
}

/** Messages that have a record, and those whose id is in flight. */
async function compare({ log, ids }: Awaited<ReturnType<typeof openWithIds>>) {
  const values = (await readAll(log, 0)).map((record) => record.split(':')[1])
  const all = Array.from({ length: MESSAGES }, (_, i) => i + 1)
  return {
    records: all.filter((i) => values.includes(`m${i}`)),
    inFlight: all.filter((i) => ids.isRepetition(message(i))),
  }
}

describe('a QoS 2 id and its record', () => {
  it('are both there or both not, wherever the power is cut, rolls included', async () => {
    let rolls = 0
    for (let cutAt = 1; ; cutAt++) {
      const memory = new MemoryDisk()
      const disk = new FaultyDisk(memory)
      let acknowledged = 0
      const dying = await openWithIds(disk)
      disk.cutPowerAt(cutAt)
      for (let i = 1; i <= MESSAGES && !disk.isOff; i++) {
        await dying.accept(i).then(
          () => acknowledged++,
          () => {},
        )
      }
      const wasCut = disk.isOff
      await dying.log.close()
      const found = await compare(await openWithIds(new FaultyDisk(memory)))
      expect(found.inFlight, `cut at change ${cutAt}`).toEqual(found.records)
      expect(found.records.length).toBeGreaterThanOrEqual(acknowledged)
      rolls = dying.log.chains()[0]!.stats.rolls
      if (!wasCut) break
    }
    expect(rolls).toBeGreaterThan(2)
  })

  it('are both there or both not after a commit that failed, at every commit and in a roll', async () => {
    for (const isKept of [true, false]) {
      for (let nth = 1; nth <= 8; nth++) {
        const disk = new FaultyDisk(new MemoryDisk())
        const opened = await openWithIds(disk)
        disk.fail({ on: 'sync', nth, isKept })
        for (let i = 1; i <= MESSAGES; i++) {
          await until(() => opened.log.status().condition === 'open', 'the log is open')
          await opened.accept(i).catch(() => {})
        }
        await until(() => opened.log.status().condition === 'open', 'the log is open')
        expect(disk.hasFaults).toBe(false)
        const found = await compare(opened)
        expect(found.inFlight, `sync ${nth} fails`).toEqual(found.records)
        await opened.log.close()
      }
    }
  })
})
