/** The clock's epochs and the records share commits: whatever is cut or fails, no wrong time passes for a right one. */
import { describe, expect, it } from 'vitest'
import { ChainClocks } from '../../../broker/clock/chain-clocks.ts'
import { ClockWatch } from '../../../broker/clock/clock-watch.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { NO_HEADERS, readRecords } from '../../../broker/log/record-batch.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { committed, openLog, until } from '../log/support.ts'
import { DAY, Machine, T0 } from './machine.ts'

const SHUTDOWN = T0 - 5 * DAY
/** A few commits fill a segment. */
const SEGMENT_BYTES = 300

/** A broker's process, as far as the clock and the log go. */
async function start(machine: Machine, disk: Disk, segmentBytes = SEGMENT_BYTES) {
  const watch = new ClockWatch({ ...machine.parts(), mode: 'auto' })
  const clocks = new ChainClocks(watch)
  const log = await openLog(disk, {
    segmentBytes,
    trustedNow: () => watch.trustedNow(),
    clockFactsOf: (chain) => clocks.factsOf(chain),
    states: [clocks.stateOf('main')],
  })
  watch.onChange(() => clocks.settle(log.chains()))
  log.onDurable(() => clocks.settle(log.chains()))
  watch.start(clocks.last(watch.bootId), await log.newestTrustedTime())
  const { chain, partitions } = log.stream('events')
  /** Stamps a record; its value is what the right clock shows. */
  const append = (rightTime: number) => {
    const value = Buffer.from(String(rightTime))
    chain.append(partitions[0]!, watch.now(), null, value, NO_HEADERS)
  }
  return { watch, clocks, log, append, chain }
}

/** For reading alone, as `headwater read` opens it. */
function open(disk: Disk): Promise<EventLog> {
  const clocks = new ChainClocks(null)
  const states = [clocks.stateOf('main')]
  return openLog(disk, { clockFactsOf: (chain) => clocks.factsOf(chain), states })
}

/** By how much each record's best known time is wrong, or null where it says that it does not know. */
async function errorsOf(log: EventLog): Promise<(number | null)[]> {
  const errors: (number | null)[] = []
  const { durableOffset } = log.partitions()[0]!
  for (let offset = 0; offset < durableOffset; ) {
    for (const batch of await log.read('events', 0, offset, 1e9)) {
      const clockOf = log.clockOf(batch)
      for (const { timestamp, value } of readRecords(batch.bytes)) {
        const clock = clockOf?.(timestamp) ?? null
        const time = clock === null ? timestamp : clock.correctedTimestamp
        errors.push(time === undefined ? null : time - Number(value))
      }
      offset = batch.nextOffset
    }
  }
  return errors
}

describe('a log under a clock that comes late', () => {
  it('has records that are marked, then corrected, without a record more', async () => {
    const machine = new Machine(SHUTDOWN).withSystemd()
    const disk = new MemoryDisk()
    const { log, watch, append, chain } = await start(machine, disk)
    append(T0)
    await committed(log)
    expect(await errorsOf(log)).toEqual([null])
    const { commits } = chain.stats
    await machine.pass(8000)
    machine.synchronize(T0 + 8000)
    await machine.pass(2000)
    await until(() => chain.stats.commits > commits, 'the correction is on disk')
    expect(await errorsOf(log)).toEqual([0])
    expect(chain.stats.commits).toBe(commits + 1)
    await log.close()
    watch.close()
    expect(await errorsOf(await open(disk))).toEqual([0])
  })

  it('tells both kinds apart in one commit, and by any way of reading', async () => {
    const machine = new Machine(SHUTDOWN).withSystemd()
    const { log, append } = await start(machine, new MemoryDisk(), 1e9)
    append(T0)
    machine.hold(20)
    append(T0 + 20)
    machine.synchronize(T0 + 20)
    append(T0 + 20)
    await committed(log)
    expect(log.status().commits).toBe(1)
    expect(await errorsOf(log)).toEqual([0, 0, 0])
    const read = await log.read('events', 0, 0, 1e9)
    const [batch] = await log.openCursor(new Map()).next(1e9)
    expect(batch!.commit).toBe(read[0]!.commit)
    expect(log.clockOf(batch!)!(SHUTDOWN)).toEqual({ trust: 'corrected', correctedTimestamp: T0 })
    expect(log.clockOf({ ...batch!, commit: batch!.commit! + 1 })).toBeNull()
    const { commit: _, ...unknown } = batch!
    expect(log.clockOf(unknown)).toBeNull()
  })

  it('knows the newest time of a trusted clock, whatever an untrusted one gave', async () => {
    const disk = new MemoryDisk()
    const machine = new Machine(T0)
    machine.synchronize(T0)
    const first = await start(machine, disk)
    expect(await first.log.newestTrustedTime()).toBe(0)
    first.append(T0)
    await committed(first.log)
    expect(await first.log.newestTrustedTime()).toBe(T0)
    first.chain.roll()
    await until(() => first.chain.stats.rolls === 1, 'the segment is sealed')
    machine.hold(1000)
    first.append(T0 + 1000)
    await committed(first.log)
    await first.log.close()
    machine.boot(T0 + 365 * DAY)
    const { log, append, chain } = await start(machine.withSystemd(), disk, 400)
    expect(await log.newestTrustedTime()).toBe(T0 + 1000)
    for (let i = 0; i < 5; i++) {
      append(0)
      await committed(log)
    }
    // the second segment has records of both boots
    expect(chain.stats.rolls).toBeGreaterThan(0)
    expect(await log.newestTrustedTime()).toBe(T0)
  })
})

describe('a power cut at any change of the disk', () => {
  /** A boot with a late clock; each record is committed by itself, and the time service comes in the middle. */
  async function live(machine: Machine, disk: FaultyDisk): Promise<{ wasCut: boolean; rolls: number }> {
    const { log, append, chain } = await start(machine, disk)
    for (let i = 0; i < 12 && !disk.isOff; i++) {
      machine.hold(1000)
      if (i === 6) machine.synchronize(T0 + machine.monotonic())
      append(T0 + machine.monotonic())
      await committed(log).catch(() => {})
    }
    const wasCut = disk.isOff
    await log.close()
    return { wasCut, rolls: chain.stats.rolls }
  }

  it('leaves every record with its right time, or with the word that it is not known', async () => {
    for (let cutAt = 1; ; cutAt++) {
      const memory = new MemoryDisk()
      const machine = new Machine(SHUTDOWN).withSystemd()
      const dying = new FaultyDisk(memory)
      dying.cutPowerAt(cutAt)
      const { wasCut, rolls } = await live(machine, dying).catch(() => ({ wasCut: true, rolls: 0 }))
      const wasKnown = machine.wall() > T0
      // the power is back: another boot, which cannot tell more
      machine.boot(T0 + DAY)
      const next = await start(machine, new FaultyDisk(memory))
      const errors = await errorsOf(next.log)
      for (const error of errors) expect(Math.abs(error ?? 0), `cut at change ${cutAt}`).toBeLessThan(3)
      await next.log.close()
      next.watch.close()
      if (wasCut) continue
      expect(wasKnown).toBe(true)
      expect(errors).toHaveLength(12)
      expect(errors).not.toContain(null)
      expect(rolls).toBeGreaterThan(2)
      break
    }
  })

  it('and after the end of the process alone the next one in this boot corrects what the last one could not', async () => {
    for (let cutAt = 1; ; cutAt++) {
      const memory = new MemoryDisk()
      const machine = new Machine(SHUTDOWN).withSystemd()
      const dying = new FaultyDisk(memory)
      dying.endProcessAt(cutAt)
      const { wasCut } = await live(machine, dying).catch(() => ({ wasCut: true }))
      if (machine.wall() < T0) machine.synchronize(T0 + machine.monotonic())
      machine.withSystemd(() => true)
      const next = await start(machine, new FaultyDisk(memory))
      await machine.pass(0)
      next.append(T0 + machine.monotonic())
      await committed(next.log)
      const errors = await errorsOf(next.log)
      expect(errors, `cut at change ${cutAt}`).not.toContain(null)
      for (const error of errors) expect(Math.abs(error!), `cut at change ${cutAt}`).toBeLessThan(3)
      await next.log.close()
      next.watch.close()
      if (!wasCut) break
    }
  })
})

describe('a commit that fails', () => {
  it('loses no word on the clock, kept or not, at every commit and in a roll', async () => {
    for (const isKept of [true, false]) {
      for (let nth = 1; nth <= 10; nth++) {
        const machine = new Machine(SHUTDOWN).withSystemd()
        const disk = new FaultyDisk(new MemoryDisk())
        const { log, append } = await start(machine, disk)
        disk.fail({ on: 'sync', nth, isKept })
        for (let i = 0; i < 12; i++) {
          await until(() => log.status().condition === 'open', 'the log is open')
          machine.hold(1000)
          if (i === 5) machine.synchronize(T0 + machine.monotonic())
          append(T0 + machine.monotonic())
          await committed(log).catch(() => {})
        }
        await until(() => log.status().condition === 'open', 'the log is open')
        await committed(log)
        expect(disk.hasFaults).toBe(false)
        const errors = await errorsOf(log)
        expect(errors, `sync ${nth} fails`).not.toContain(null)
        for (const error of errors) expect(Math.abs(error!), `sync ${nth} fails`).toBeLessThan(3)
        await log.close()
        expect(await errorsOf(await open(disk))).toEqual(errors)
      }
    }
  })
})
