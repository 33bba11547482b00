/**
 * A random life of a table beside a fold of its log: puts, tombstones, restarts, power cuts, a disk that fails, entries that are
 * damaged, compaction, retention, a log start that moves. Whenever all is quiet the table is what a plain map over the log's
 * records is. HEADWATER_TEST_SEED plays a life again.
 */
import { describe, expect, it } from 'vitest'
import { LogUnavailableError } from '../../../broker/errors.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { readRecords } from '../../../broker/log/record-batch.ts'
import { DEFAULT_POLICY } from '../../../broker/log/stream-policy.ts'
import type { Tables } from '../../../broker/tables/tables.ts'
import { FaultyDisk, type OperationKind } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { playLives, type Random } from '../../support/random.ts'
import { openLog, until } from '../log/support.ts'
import { appendChanges, collected, moveLogStart, openTables, STREAM, TABLE_PATH } from './support.ts'

const PARTITIONS = 3
const STEPS = 80
const LIVES = 15
const KEYS = 25

/** How old records go: as a test says, by key, or by size. */
const KINDS = ['moved', 'compacted', 'retained'] as const
const POLICIES = {
  moved: DEFAULT_POLICY,
  compacted: { ...DEFAULT_POLICY, deletes: false, compacts: true, tombstoneMs: 0 },
  retained: { ...DEFAULT_POLICY, retentionBytes: 6000 },
}

class Life {
  readonly #random: Random
  readonly #memory = new MemoryDisk()
  readonly #segmentBytes: number
  readonly #kind: (typeof KINDS)[number]
  /** Log start offsets, by partition: retention's, over restarts. */
  readonly #starts = new Array<number>(PARTITIONS).fill(0)
  #disk!: FaultyDisk
  #log!: EventLog
  #tables!: Tables
  #values = 0

  constructor(random: Random) {
    this.#random = random
    this.#segmentBytes = random.between(500, 5000)
    this.#kind = KINDS[random.between(0, 2)]!
  }

  async run(): Promise<void> {
    await this.#open()
    for (let step = 0; step < STEPS; step++) await this.#step()
    await this.#check()
    expect((await this.#tables.verify())[0]).toMatchObject({ isWhole: true })
    await this.#tables.close()
    await this.#log.close()
  }

  async #open(): Promise<void> {
    this.#disk = new FaultyDisk(this.#memory)
    const streams = [{ name: STREAM, partitions: PARTITIONS, policy: POLICIES[this.#kind] }]
    this.#log = await openLog(this.#disk, { streams, segmentBytes: this.#segmentBytes })
    this.#placeStarts()
    const limits = {
      // often, seldom or never before the end
      pendingMsMax: [0, 5, 3_600_000][this.#random.between(0, 2)]!,
      pendingBytesMax: this.#random.next() < 0.5 ? 1 : 70_000,
      restMs: this.#random.between(0, 2),
    }
    this.#tables = openTables(this.#disk, this.#log, { limits })
  }

  #placeStarts(): void {
    if (this.#kind !== 'moved') return
    for (const [partition, start] of this.#starts.entries()) moveLogStart(this.#log, partition, start)
  }

  async #step(): Promise<void> {
    const roll = this.#random.between(0, 99)
    if (roll < 45) this.#append()
    else if (roll < 60) await new Promise((resolve) => setImmediate(resolve))
    else if (roll < 70) await this.#check()
    else if (roll < 78) await this.#readAnything()
    else if (roll < 83) await this.#dropOld()
    else if (roll < 90) this.#break()
    else if (roll < 94) await this.#restart()
    else if (roll < 96) await this.#damage()
    else await this.#cutPower()
  }

  #append(): void {
    try {
      for (let n = this.#random.between(1, 8); n > 0; n--) {
        const value = `${this.#values++}`.padEnd(this.#random.between(1, 120), '.')
        const key = `key ${this.#random.between(0, KEYS - 1)}`
        appendChanges(this.#log, [[key, this.#random.next() < 0.25 ? null : value]])
      }
    } catch (error) {
      expect(error).toBeInstanceOf(LogUnavailableError)
    }
  }

  /** While all kinds of things are under way: an answer or an error that says so, never something else. */
  async #readAnything(): Promise<void> {
    const readings = [
      this.#tables.get(STREAM, Buffer.from(`key ${this.#random.between(0, KEYS - 1)}`)),
      collected(this.#tables.scan(STREAM)),
    ]
    for (const reading of readings) {
      reading.catch((error) => expect(error).toMatchObject({ code: 'HW_TABLE_UNAVAILABLE' }))
    }
    if (this.#random.next() < 0.3) await Promise.allSettled(readings)
  }

  /** The disk fails at some later change or read of the table, or change of the log; its effect is kept or not. */
  #break(): void {
    const ofTable: OperationKind[] = [
      'sync',
      'range',
      'remove',
      'create-store',
      'make-directory',
      'close-store',
    ]
    const isTable = this.#random.next() < 0.7
    this.#disk.fail({
      on: isTable ? ofTable[this.#random.between(0, ofTable.length - 1)]! : 'sync',
      path: isTable ? '/tables' : '/log/',
      nth: this.#random.between(1, 6),
      isKept: this.#random.next() < 0.5,
      code: this.#random.next() < 0.5 ? 'EIO' : 'ENOSPC',
    })
  }

  async #dropOld(): Promise<void> {
    if (this.#kind === 'moved') this.#moveStart()
    // what cannot be compacted now is compacted later
    if (this.#kind === 'compacted') await this.#log.compact(null).catch(() => undefined)
  }

  #moveStart(): void {
    const partition = this.#random.between(0, PARTITIONS - 1)
    const { logStartOffset, durableOffset } = this.#log.stream(STREAM).partitions[partition]!
    // offsets that a power cut can take back are not dropped: they were never durable
    const start = this.#random.between(logStartOffset, Math.min(durableOffset, logStartOffset + 15))
    this.#starts[partition] = start
    moveLogStart(this.#log, partition, start)
  }

  async #restart(): Promise<void> {
    this.#disk.heal()
    await this.#tables.close()
    await this.#log.close()
    await this.#open()
  }

  /** A bit of an entry, or of the positions, while nothing has it open. */
  async #damage(): Promise<void> {
    this.#disk.heal()
    await this.#tables.close()
    const store = await this.#memory.openStore(TABLE_PATH, { writeBufferBytes: 1, createIfMissing: true })
    const entries = await store.range({ from: Buffer.of(0), to: Buffer.of(2), bytesMax: 1e9 })
    const entry = entries.filter(({ value }) => value.length > 0)[this.#random.between(0, 20)]
    if (entry !== undefined) {
      entry.value[this.#random.between(0, entry.value.length - 1)]! ^= 1 << this.#random.between(0, 7)
      const batch = store.batch()
      batch.put(entry.key, entry.value)
      await batch.write({ sync: true })
    }
    await store.close()
    await this.#log.close()
    await this.#open()
  }

  async #cutPower(): Promise<void> {
    const crash = this.#memory.crash.bind(this.#memory)
    this.#memory.crash = () => crash((unsynced) => this.#random.between(0, unsynced))
    if (this.#random.next() < 0.5) this.#disk.cutPowerAt(this.#random.between(1, 6))
    for (let i = 0; i < 10 && !this.#disk.isOff; i++) {
      this.#append()
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (!this.#disk.isOff) this.#disk.cutPower()
    this.#memory.crash = crash
    await this.#tables.close()
    await this.#log.close()
    await this.#open()
  }

  async #quiet(): Promise<void> {
    this.#disk.heal()
    const settled = () =>
      new Promise<boolean>((resolve) => {
        try {
          this.#log.stream(STREAM).chain.onCommit((error) => resolve(error === null))
        } catch {
          resolve(false)
        }
      })
    do await until(() => this.#log.status().condition === 'open', 'the log is open')
    while (!(await settled()))
    // a log that has opened itself again begins where its segments do
    this.#placeStarts()
  }

  async #check(): Promise<void> {
    await this.#quiet()
    const starts = () => this.#log.stream(STREAM).partitions.map(({ logStartOffset }) => logStartOffset)
    const before = starts()
    const expected = await this.#fold()
    const found = await this.#scan()
    // retention comes when it wants
    if (`${before}` !== `${starts()}`) return this.#check()
    expect(found).toEqual([...expected].sort(([a], [b]) => (a < b ? -1 : 1)))
    if (this.#kind === 'retained') return
    for (let i = 0; i < 5; i++) {
      const key = `key ${this.#random.between(0, KEYS - 1)}`
      const entry = await this.#tables.get(STREAM, Buffer.from(key))
      expect(entry === null ? undefined : `${entry.partition}/${entry.offset} ${entry.value}`, key).toBe(
        expected.get(key),
      )
    }
    expect(this.#disk.violations).toBe(0)
    expect(this.#tables.status()[0]).toMatchObject({ lagRecords: 0, misplaced: 0, unkeyed: 0 })
  }

  /** A scan that meets a damaged entry ends; the one after it is of the table that was built again. */
  async #scan(): Promise<[string, string][]> {
    for (let tries = 0; ; tries++) {
      try {
        const entries = await collected(this.#tables.scan(STREAM))
        return entries.map(({ key, partition, offset, value }) => [
          `${key}`,
          `${partition}/${offset} ${value}`,
        ])
      } catch (error) {
        expect(error).toMatchObject({ code: 'HW_TABLE_UNAVAILABLE' })
        expect(tries, (error as Error).message).toBeLessThan(3)
      }
    }
  }

  /** The plain way: every record of the log, into a map. */
  async #fold(): Promise<Map<string, string>> {
    const fold = new Map<string, string>()
    for (const { stream, partition, logStartOffset, durableOffset } of this.#log.partitions()) {
      if (stream !== STREAM) continue
      for (let at = logStartOffset; at < durableOffset; ) {
        const batches = await this.#log.read(STREAM, partition, at, 4096)
        for (const batch of batches) {
          for (const { offset, key, value } of readRecords(batch.bytes)) {
            if (offset < at) continue
            if (value === null) fold.delete(`${key}`)
            else fold.set(`${key}`, `${partition}/${offset} ${value}`)
          }
          at = batch.nextOffset
        }
      }
    }
    return fold
  }
}

describe('a table beside a fold of its log', () => {
  it(`agrees with it through ${LIVES} random lives`, async () => {
    await playLives(LIVES, (random) => new Life(random).run())
  }, 120_000)
})
