/** What a commit promises, shown on a disk that waits and fails where the test says so. */
import { describe, expect, it } from 'vitest'
import { CommitFailedError, LogUnavailableError } from '../../../broker/errors.ts'
import type { CommitState } from '../../../broker/log/commit-state.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import {
  append,
  committed,
  drain,
  openLog,
  RecordingSink,
  readAll,
  temporaryDirectory,
  until,
} from './support.ts'

const isOpen = (log: EventLog) => until(() => log.status().condition === 'open', 'the log is open')

/** Appends without waiting; the outcomes collect in `outcomes`. */
function appendLater(log: EventLog, value: string, outcomes: (Error | null)[]): void {
  const { chain, partitions } = log.stream('events')
  chain.append(partitions[0]!, 1000, null, Buffer.from(value), NO_HEADERS)
  chain.onCommit((error) => outcomes.push(error))
}

describe('a commit', () => {
  it('is told to its listeners, and shown to readers, only once its sync has ended', async () => {
    for (const below of [nodeDisk, new MemoryDisk()]) {
      const disk = new FaultyDisk(below)
      const log = await openLog(disk, { path: temporaryDirectory() })
      await append(log, 0, ['before'])
      const cursor = log.openCursor(new Map([['events/0', 1]]))
      let durableCalls = 0
      log.onDurable(() => durableCalls++)
      const outcomes: (Error | null)[] = []
      const gate = disk.hold('sync')
      appendLater(log, 'held', outcomes)
      await gate.reached
      // whatever has been queued by now gets its turn
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
      expect(outcomes).toEqual([])
      expect(durableCalls).toBe(0)
      expect(log.partitions()[0]!.durableOffset).toBe(1)
      expect(await readAll(log, 0)).toEqual(['0:before'])
      expect(await cursor.next(1000)).toEqual([])
      expect(await log.offsetForTime('events', 0, 2000)).toBe(1)
      gate.release()
      await committed(log)
      expect(outcomes).toEqual([null])
      expect(durableCalls).toBeGreaterThan(0)
      expect(await readAll(log, 0)).toEqual(['0:before', '1:held'])
      expect((await drain(cursor)).get('events/0')).toEqual(['1:held'])
    }
  })

  it('gathers all that comes while the one before it is synced, in one sync, in order', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    const outcomes: (Error | null)[] = []
    const gate = disk.hold('sync')
    appendLater(log, 'first', outcomes)
    await gate.reached
    const before = disk.trace.length
    for (let i = 0; i < 50; i++) appendLater(log, `v${i}`, outcomes)
    gate.release()
    await committed(log)
    expect(disk.trace.slice(before).map(({ kind }) => kind)).toEqual(['sync'])
    expect(outcomes).toHaveLength(51)
    expect(log.status()).toMatchObject({ commits: 2, records: 51, admittedBytes: 0 })
    expect((await readAll(log, 0)).slice(1)).toEqual(Array.from({ length: 50 }, (_, i) => `${i + 1}:v${i}`))
  })

  it('calls its listeners in the order in which they were added', async () => {
    const log = await openLog(new MemoryDisk())
    const order: number[] = []
    const { chain } = log.stream('events')
    for (let i = 0; i < 5; i++) chain.onCommit(() => order.push(i))
    await committed(log)
    expect(order).toEqual([0, 1, 2, 3, 4])
  })

  it('that holds nothing but listeners is synced all the same', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk)
    const before = disk.trace.length
    await committed(log)
    expect(disk.trace.slice(before).map(({ kind }) => kind)).toEqual(['sync'])
    await append(log, 0, ['after'])
    expect((await log.verify()).problems).toEqual([])
    await log.close()
    const again = await openLog(disk)
    expect(again.status().recovery.faults).toBe(0)
    expect((await again.verify()).problems).toEqual([])
  })

  it('asks producers to wait while the admitted bytes are at their limit, and lets them go on after it', async () => {
    const disk = new FaultyDisk(new MemoryDisk())
    const log = await openLog(disk, { admittedBytesMax: 1000 })
    const { chain } = log.stream('events')
    const gate = disk.hold('sync')
    const outcomes: (Error | null)[] = []
    appendLater(log, 'x'.repeat(600), outcomes)
    await gate.reached
    expect(chain.admission.isFull).toBe(false)
    appendLater(log, 'y'.repeat(600), outcomes)
    expect(chain.admission.isFull).toBe(true)
    let hasDrained = false
    const drained = chain.admission.drained().then(() => {
      hasDrained = true
    })
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(hasDrained).toBe(false)
    gate.release()
    await drained
    expect(chain.admission.isFull).toBe(false)
    await committed(log)
    expect(outcomes).toEqual([null, null])
  })

  it('is made by close from what is open, and nothing is taken afterwards', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const outcomes: (Error | null)[] = []
    appendLater(log, 'last', outcomes)
    await log.close()
    expect(outcomes).toEqual([null])
    expect(() => appendLater(log, 'late', outcomes)).toThrow(LogUnavailableError)
    await expect(log.read('events', 0, 0, 1)).rejects.toThrow(LogUnavailableError)
    expect(await readAll(await openLog(disk), 0)).toEqual(['0:last'])
  })
})

/** Counts up with each record; durable with the commit that `add` was called for. */
class Counter implements CommitState {
  readonly name = 'counter'
  live = 0
  #pending = 0
  #sealed = 0
  add(): void {
    this.live++
    this.#pending++
  }
  takePending(): number | undefined {
    const pending = this.#pending
    this.#sealed += pending
    this.#pending = 0
    return pending === 0 ? undefined : pending
  }
  restore(snapshot: unknown): void {
    this.#sealed = this.live = (snapshot as number | undefined) ?? 0
    this.#pending = 0
  }
  apply(added: unknown): void {
    this.#sealed += added as number
    this.live += added as number
  }
  snapshot(): number {
    return this.#sealed
  }
}

describe.each([
  { below: 'memory', isKept: true },
  { below: 'memory', isKept: false },
  { below: 'real', isKept: true },
  { below: 'real', isKept: false },
])('a commit that failed on the $below disk, its entries kept: $isKept', ({ below, isKept }) => {
  async function failing(code: 'EIO' | 'ENOSPC' = 'EIO') {
    const disk = new FaultyDisk(below === 'real' ? nodeDisk : new MemoryDisk())
    const path = temporaryDirectory()
    const counter = new Counter()
    const sink = new RecordingSink()
    const log = await openLog(disk, { path, states: [counter], sink, segmentBytes: 500 })
    const add = (value: string) => {
      counter.add()
      return append(log, 0, [value])
    }
    await add('a')
    await add('b')
    disk.fail({ on: 'sync', isKept, code })
    return { disk, log, add, counter, sink, path }
  }

  it('is told to all that wait, and appends are refused until the log has opened itself again', async () => {
    const { disk, log, add, counter, sink } = await failing('ENOSPC')
    const waiting = [add('lost'), add('lost too')]
    for (const one of waiting) {
      await expect(one).rejects.toThrow(CommitFailedError)
      await expect(one).rejects.toMatchObject({ code: 'HW_COMMIT_FAILED', retryable: true })
    }
    expect(log.status()).toMatchObject({ condition: 'failed', failedCommits: 1, failedRecords: 2 })
    expect(log.status().reason).toMatch(/no space/)
    await expect(async () => append(log, 0, ['refused'])).rejects.toThrow(LogUnavailableError)
    expect(() => log.stream('events').chain.onCommit(() => {})).toThrow(LogUnavailableError)
    await expect(log.read('events', 0, 0, 1)).rejects.toThrow(LogUnavailableError)
    expect(sink.matching('a commit failed')).toHaveLength(1)
    await isOpen(log)
    expect(sink.matching('open again')).toHaveLength(1)
    expect(disk.violations).toBe(0)

    const kept = isKept ? ['2:lost', '3:lost too'] : []
    const before = ['0:a', '1:b', ...kept]
    expect(await readAll(log, 0)).toEqual(before)
    expect(counter.live).toBe(before.length)
    await add('again')
    expect(await readAll(log, 0)).toEqual([...before, `${before.length}:again`])
    expect(await log.verify()).toMatchObject({ isWhole: true })
  })

  it('takes with it what gathered for the next one, and nothing of that is in a later commit', async () => {
    const { disk, log, add } = await failing()
    const gate = disk.hold('sync')
    const inFlight = add('in flight')
    await gate.reached
    const gathered = append(log, 1, ['gathered'])
    gate.release()
    await expect(inFlight).rejects.toThrow(CommitFailedError)
    await expect(gathered).rejects.toThrow(CommitFailedError)
    expect(log.status().admittedBytes).toBe(0)
    await isOpen(log)
    await append(log, 1, ['again'])
    expect(await readAll(log, 1)).toEqual(['0:again'])
    expect((await log.verify()).problems).toEqual([])
  })

  it('leaves offsets without reuse or gap, on disk too', async () => {
    const { disk, log, add, path } = await failing()
    await add('lost').catch(() => {})
    await isOpen(log)
    for (let i = 0; i < 12; i++) await add(`c${i}`)
    const records = await readAll(log, 0)
    expect(records.map((record) => Number.parseInt(record, 10))).toEqual(records.map((_, i) => i))
    expect(new Set(records.map((record) => record.split(':')[1])).size).toBe(records.length)
    await log.close()
    const again = await openLog(disk, { path })
    expect(await readAll(again, 0)).toEqual(records)
    expect(again.status().recovery.faults).toBe(0)
  })

  it('does not hold up a cursor that stood before it, which brings each record once', async () => {
    const { log, add } = await failing()
    const cursor = log.openCursor(new Map())
    const found = (await drain(cursor)).get('events/0')!
    await add('lost').catch(() => {})
    await expect(log.openCursor(new Map()).next(100)).rejects.toThrow(LogUnavailableError)
    await isOpen(log)
    await add('c')
    found.push(...(await drain(cursor)).get('events/0')!)
    expect(found).toEqual(await readAll(log, 0))
  })

  it('that fails again while the log opens is tried until the disk works', async () => {
    const { disk, log, add } = await failing()
    disk.fail({ on: 'open-store' })
    await add('lost').catch(() => {})
    await until(() => !disk.hasFaults, 'all faults have struck')
    expect(log.status().condition).toBe('failed')
    await isOpen(log)
    await add('c')
    expect((await readAll(log, 0)).at(-1)).toMatch(/:c$/)
  })
})
