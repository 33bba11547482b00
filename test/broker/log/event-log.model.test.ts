/**
 * A random life of a log beside a model of it: appends, commits, reads, rolls, failures, restarts and power cuts. The model knows
 * what was acknowledged, what may or may not be there, and what a reader saw: that stays. HEADWATER_TEST_SEED plays a life again.
 */
import { describe, expect, it } from 'vitest'
import { LogUnavailableError } from '../../../broker/errors.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import type { LogCursor } from '../../../broker/log/source.ts'
import { FaultyDisk, type Gate, type OperationKind } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { playLives, type Random } from '../../support/random.ts'
import { openLog, readAll, recordsOf, until } from './support.ts'

const PARTITIONS = 3
const STEPS = 120
const LIVES = 12

/** One partition as the model knows it. */
interface Lane {
  /** Appended and not refused, oldest first; those from `settled` on may or may not become part of the log. */
  pending: { value: string; isAcknowledged: boolean }[]
  /** What a reader saw: values by offset. */
  seen: string[]
}

class Life {
  readonly #random: Random
  readonly #memory = new MemoryDisk()
  readonly #lanes: Lane[] = Array.from({ length: PARTITIONS }, () => ({ pending: [], seen: [] }))
  readonly #options: { segmentBytes: number; admittedBytesMax: number }
  #disk!: FaultyDisk
  #log!: EventLog
  #cursor!: LogCursor
  /** What the cursor brought since it was opened, by partition, with the offset at which it began. */
  #fromCursor!: { from: number; values: string[] }[]
  #values = 0
  #gate: Gate | undefined

  constructor(random: Random) {
    this.#random = random
    this.#options = { segmentBytes: random.between(300, 3000), admittedBytesMax: random.between(200, 5000) }
  }

  async run(): Promise<void> {
    await this.#open()
    for (let step = 0; step < STEPS; step++) await this.#step()
    await this.#opened()
    await this.#check()
    expect((await this.#log.verify()).problems).toEqual([])
    await this.#log.close()
  }

  async #open(): Promise<void> {
    this.#disk = new FaultyDisk(this.#memory)
    this.#log = await openLog(this.#disk, {
      ...this.#options,
      streams: [{ name: 'events', partitions: PARTITIONS }],
    })
    this.#openCursor()
  }

  #openCursor(): void {
    const from = new Map<string, number>()
    this.#fromCursor = this.#lanes.map(({ seen }, partition) => {
      const at = this.#random.between(0, seen.length)
      from.set(`events/${partition}`, at)
      return { from: at, values: [] }
    })
    this.#cursor = this.#log.openCursor(from)
  }

  async #step(): Promise<void> {
    const roll = this.#random.between(0, 99)
    if (roll < 52) this.#append()
    else if (roll < 55) this.#hold()
    else if (roll < 70) await new Promise((resolve) => setImmediate(resolve))
    else if (roll < 80) await this.#settle()
    else if (roll < 86) await this.#read()
    else if (roll < 90) await this.#follow()
    else if (roll < 94) this.#break()
    else if (roll < 97) await this.#restart()
    else await this.#cutPower()
  }

  #append(): void {
    const { chain, partitions } = this.#log.stream('events')
    for (let n = this.#random.between(1, 5); n > 0; n--) {
      const partition = this.#random.between(0, PARTITIONS - 1)
      const value = `v${this.#values++}`.padEnd(this.#random.between(3, 80), '.')
      const entry = { value, isAcknowledged: false }
      try {
        chain.append(partitions[partition]!, 1000, null, Buffer.from(value), NO_HEADERS)
        this.#lanes[partition]!.pending.push(entry)
        chain.onCommit((error) => {
          if (error === null) entry.isAcknowledged = true
        })
      } catch (error) {
        expect(error).toBeInstanceOf(LogUnavailableError)
        return
      }
    }
  }

  /** A sync that takes its time: what is appended meanwhile gathers for the next commit. */
  #hold(): void {
    if (this.#gate === undefined) this.#gate = this.#disk.hold('sync')
    else this.#release()
  }

  #release(): void {
    this.#gate?.release()
    this.#gate = undefined
  }

  /** Waits for the commit of all that was appended; true when it reached the disk. */
  async #settle(): Promise<boolean> {
    this.#release()
    try {
      return await new Promise<boolean>((resolve) => {
        this.#log.stream('events').chain.onCommit((error) => resolve(error === null))
      })
    } catch {
      return false
    }
  }

  async #opened(): Promise<void> {
    this.#release()
    this.#disk.heal()
    // a commit that was under way may still fail
    do await until(() => this.#log.status().condition === 'open', 'the log is open')
    while (!(await this.#settle()))
  }

  /** Reads while commits go on: what is found must be what the model allows. */
  async #read(): Promise<void> {
    const partition = this.#random.between(0, PARTITIONS - 1)
    const from = this.#random.between(0, this.#lanes[partition]!.seen.length)
    try {
      const batches = await this.#log.read('events', partition, from, this.#random.between(1, 2000))
      this.#saw(partition, recordsOf(batches, from), from)
    } catch (error) {
      expect(error).toBeInstanceOf(LogUnavailableError)
    }
  }

  async #follow(): Promise<void> {
    try {
      for (const batch of await this.#cursor.next(this.#random.between(1, 3000))) {
        const lane = this.#fromCursor[batch.partition]!
        const next = lane.from + lane.values.length
        const records = recordsOf([batch], next)
        lane.values.push(...records)
        this.#saw(batch.partition, records, next)
      }
    } catch (error) {
      expect(error).toBeInstanceOf(LogUnavailableError)
    }
  }

  #saw(partition: number, records: readonly string[], from: number): void {
    const { seen } = this.#lanes[partition]!
    for (const [i, record] of records.entries()) {
      const offset = from + i
      expect(Number.parseInt(record, 10), 'offsets without gap').toBe(offset)
      const value = record.slice(record.indexOf(':') + 1)
      if (offset < seen.length) expect(value, 'what was seen stays').toBe(seen[offset])
      else seen.push(value)
    }
  }

  /** The disk fails at some later change, its effect kept or not. */
  #break(): void {
    const kinds: OperationKind[] = ['sync', 'sync', 'rename', 'sync-directory', 'replace', 'make-directory']
    const on = kinds[this.#random.between(0, kinds.length - 1)]!
    const isKept = this.#random.next() < 0.5
    this.#disk.fail({ on, nth: this.#random.between(1, 6), isKept, code: isKept ? 'EIO' : 'ENOSPC' })
  }

  async #restart(): Promise<void> {
    this.#release()
    this.#disk.heal()
    await this.#log.close()
    await this.#open()
    await this.#check()
  }

  async #cutPower(): Promise<void> {
    if (this.#random.next() < 0.5) this.#release()
    const crash = this.#memory.crash.bind(this.#memory)
    this.#memory.crash = () => crash((unsynced) => this.#random.between(0, unsynced))
    const names = ['old', 'new', 'torn'] as const
    this.#memory.namesLeft = () => names[this.#random.between(0, 2)]!
    if (this.#random.next() < 0.5) this.#disk.cutPower()
    else {
      this.#release()
      this.#disk.cutPowerAt(this.#random.between(1, 8))
      while (!this.#disk.isOff) {
        this.#append()
        await new Promise((resolve) => setImmediate(resolve))
        if (this.#log.status().condition === 'failed') this.#disk.cutPower()
      }
    }
    this.#memory.crash = crash
    this.#release()
    await this.#log.close()
    await this.#open()
    await this.#check()
  }

  /** The whole log against the model; what is not in it now will never be. */
  async #check(): Promise<void> {
    for (const [partition, lane] of this.#lanes.entries()) {
      const records = await readAll(this.#log, partition)
      this.#saw(partition, records, 0)
      expect(lane.seen, 'what was seen is there').toHaveLength(records.length)
      const found = new Set(lane.seen)
      expect(found.size, 'none twice').toBe(lane.seen.length)
      const lost = lane.pending.filter(({ value, isAcknowledged }) => isAcknowledged && !found.has(value))
      expect(lost, 'acknowledged and lost').toEqual([])
      const order = lane.pending.filter(({ value }) => found.has(value)).map(({ value }) => value)
      expect(lane.seen, 'in the order of the appends').toEqual(order)
      lane.pending = lane.pending.filter(({ value }) => found.has(value))
    }
    expect(this.#disk.violations).toBe(0)
  }
}

describe('a log beside its model', () => {
  it(`agrees with it through ${LIVES} random lives`, async () => {
    await playLives(LIVES, (random) => new Life(random).run())
  }, 30_000)
})
