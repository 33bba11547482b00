/**
 * A random life of a whole log beside a model of it: streams that keep all, that go by size and that are compacted, in both chains,
 * with an upstream that follows at its own pace, a table, readers that stand somewhere, restarts and power cuts at any change of the disk. The
 * model is the list of all records that were acknowledged. HEADWATER_TEST_SEED plays a life again.
 */
import { describe, expect, it } from 'vitest'
import { LogUnavailableError } from '../../../broker/errors.ts'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { murmur2, partitionOfHash } from '../../../broker/log/murmur2.ts'
import { NO_HEADERS, readRecords } from '../../../broker/log/record-batch.ts'
import type { LogCursor } from '../../../broker/log/source.ts'
import { DEFAULT_POLICY, type StreamPolicy } from '../../../broker/log/stream-policy.ts'
import { Tables } from '../../../broker/tables/tables.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { playLives, type Random } from '../../support/random.ts'
import { MEMORY_PATH, openLog, RecordingSink, until } from './support.ts'

const STEPS = 150
const LIVES = 12
const KEYS = 12
const RETENTION_BYTES = 4000
/** Seeds of lives that once found a fault. */
const KEPT_SEEDS: readonly number[] = [208, 8011]

const POLICIES: Readonly<Record<string, Partial<StreamPolicy>>> = {
  kept: {},
  windowed: { retentionBytes: RETENTION_BYTES },
  states: { deletes: false, compacts: true, tombstoneMs: 200 },
  recent: { retentionBytes: RETENTION_BYTES, compacts: true, tombstoneMs: 200 },
}
const NAMES = Object.keys(POLICIES)
const PARTITIONS = 2

interface Found {
  readonly offset: number
  readonly key: string
  readonly value: string | null
}

/** A partition as the model knows it. */
interface Lane {
  readonly stream: string
  readonly partition: number
  /** By offset; acknowledged, or seen by a reader. */
  readonly records: Found[]
  /** Appended since, oldest first: a part of them, from the front, may become part of the log. */
  pending: { key: string; value: string | null; isAcknowledged: boolean }[]
  /** What upstream has. */
  position: number
  /** The log start that was seen: it never goes back, and nothing is dropped past upstream. */
  start: number
}

class Life {
  readonly #random: Random
  readonly #memory = new MemoryDisk()
  readonly #lanes: Lane[] = NAMES.flatMap((stream) =>
    Array.from({ length: PARTITIONS }, (_, partition) => ({
      ...{ stream, partition, records: [], pending: [], position: 0, start: 0 },
    })),
  )
  readonly #segmentBytes: number
  #now = 1_000_000
  #disk!: FaultyDisk
  #log!: EventLog
  #tables!: Tables
  #cursor: { readonly cursor: LogCursor; readonly next: Map<Lane, number> } | null = null
  #values = 0

  constructor(random: Random) {
    this.#random = random
    this.#segmentBytes = random.between(600, 4000)
  }

  async run(): Promise<void> {
    await this.#open()
    for (let step = 0; step < STEPS; step++) await this.#step()
    await this.#check()
    await this.#close()
  }

  async #open(): Promise<void> {
    this.#disk = new FaultyDisk(this.#memory)
    const streams = NAMES.map((name) => ({
      name,
      partitions: PARTITIONS,
      policy: { ...DEFAULT_POLICY, ...POLICIES[name]! },
    }))
    this.#log = await openLog(this.#disk, {
      streams,
      segmentBytes: this.#segmentBytes,
      upstreams: ['central'],
      trustedNow: () => this.#now,
    })
    const positions = () =>
      new Map(this.#lanes.map(({ stream, partition, position }) => [`${stream}/${partition}`, position]))
    this.#log.floors.set('central', positions)
    const sink = new RecordingSink()
    this.#tables = Tables.open({ disk: this.#disk, data: MEMORY_PATH, log: this.#log, sink }, ['states'])
    this.#cursor = null
  }

  async #close(): Promise<void> {
    await this.#tables.close()
    await this.#log.close()
  }

  async #step(): Promise<void> {
    this.#now += this.#random.between(0, 30)
    const roll = this.#random.between(0, 99)
    if (roll < 50) this.#append()
    else if (roll < 60) await new Promise((resolve) => setImmediate(resolve))
    else if (roll < 68) await this.#settle()
    else if (roll < 76) this.#send()
    else if (roll < 82) await this.#log.janitor.run()
    else if (roll < 87) await this.#log.compact(null).catch((error) => this.#expectAway(error))
    else if (roll < 91) await this.#follow()
    else if (roll < 94) await this.#check()
    else if (roll < 97) await this.#restart()
    else await this.#cutPower()
  }

  #append(): void {
    for (let n = this.#random.between(1, 6); n > 0; n--) {
      const lane = this.#lanes[this.#random.between(0, this.#lanes.length - 1)]!
      const { chain, partitions } = this.#log.stream(lane.stream)
      // a key has one partition: the table's rule
      const key = keyOf(lane.partition, this.#random.between(0, KEYS - 1))
      const value =
        this.#random.next() < 0.2 ? null : `${this.#values++}`.padEnd(this.#random.between(1, 90), '.')
      try {
        const bytes = value === null ? null : Buffer.from(value)
        chain.append(partitions[lane.partition]!, this.#now, Buffer.from(key), bytes, NO_HEADERS)
        const entry = { key, value, isAcknowledged: false }
        lane.pending.push(entry)
        chain.onCommit((error) => {
          if (error === null) entry.isAcknowledged = true
        })
      } catch (error) {
        this.#expectAway(error)
        return
      }
    }
  }

  #expectAway(error: unknown): void {
    expect(error).toBeInstanceOf(LogUnavailableError)
  }

  async #settle(): Promise<void> {
    for (const chain of this.#log.chains()) {
      do await until(() => chain.condition.state === 'open', 'the chain is open')
      while (!(await new Promise<boolean>((resolve) => chain.onCommit((error) => resolve(error === null)))))
    }
  }

  /** Upstream takes some of what is durable. */
  #send(): void {
    for (const lane of this.#lanes) {
      const { durableOffset } = this.#log.stream(lane.stream).partitions[lane.partition]!
      lane.position = this.#random.between(lane.position, Math.max(lane.position, durableOffset))
    }
  }

  /** A cursor sees each record that is still there once, in order, whatever goes meanwhile. */
  async #follow(): Promise<void> {
    await this.#settle()
    this.#absorb(await this.#readAll())
    if (this.#cursor === null) {
      const next = new Map(
        this.#lanes.map((lane) => [lane, this.#random.between(lane.start, lane.records.length)]),
      )
      const from = new Map(this.#lanes.map((lane) => [`${lane.stream}/${lane.partition}`, next.get(lane)!]))
      this.#cursor = { cursor: this.#log.openCursor(from), next }
    }
    const { cursor, next } = this.#cursor
    for (const batch of await cursor.next(this.#random.between(1, 4000))) {
      const lane = this.#lanes.find(
        ({ stream, partition }) => stream === batch.stream && partition === batch.partition,
      )!
      for (const found of foundIn(batch.bytes)) {
        if (found.offset < next.get(lane)!) continue
        next.set(lane, found.offset + 1)
        expect(found, 'what a cursor sees was acknowledged').toEqual(lane.records[found.offset])
      }
    }
  }

  async #restart(): Promise<void> {
    await this.#close()
    await this.#open()
    await this.#check()
  }

  async #cutPower(): Promise<void> {
    const crash = this.#memory.crash.bind(this.#memory)
    this.#memory.crash = () => crash((unsynced) => this.#random.between(0, unsynced))
    const names = ['old', 'new', 'torn'] as const
    this.#memory.namesLeft = () => names[this.#random.between(0, 2)]!
    this.#disk.cutPowerAt(this.#random.between(1, 12))
    // whatever changes the disk: commits, rolls, retention, compaction, the table
    for (let i = 0; i < 6 && !this.#disk.isOff; i++) {
      this.#append()
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#disk.isOff) break
      const work = this.#random.next() < 0.5 ? this.#log.janitor.run() : this.#log.compact(null)
      await Promise.race([work.then(() => {}).catch(() => {}), this.#disk.whenCut])
    }
    if (!this.#disk.isOff) this.#disk.cutPower()
    this.#memory.crash = crash
    await this.#close()
    await this.#open()
    await this.#check()
  }

  async #readAll(): Promise<Map<Lane, Found[]>> {
    const read = new Map<Lane, Found[]>()
    for (const lane of this.#lanes) {
      const found: Found[] = []
      const { logStartOffset } = this.#log.stream(lane.stream).partitions[lane.partition]!
      for (let at = logStartOffset; ; ) {
        const batches = await this.#log.read(lane.stream, lane.partition, at, 3000)
        if (batches.length === 0) break
        for (const batch of batches) found.push(...foundIn(batch.bytes).filter(({ offset }) => offset >= at))
        at = batches.at(-1)!.nextOffset
      }
      read.set(lane, found)
    }
    return read
  }

  /** What was appended and found becomes part of the model; called when nothing is under way. */
  #absorb(read: ReadonlyMap<Lane, readonly Found[]>): void {
    for (const lane of this.#lanes) {
      const { durableOffset } = this.#log.stream(lane.stream).partitions[lane.partition]!
      const there = read.get(lane)!
      // retention and compaction may have taken some of them already: those that are acknowledged are dense from the model's end on
      const found = new Map(there.map((record) => [record.offset, record]))
      while (lane.records.length < durableOffset && lane.pending.length > 0) {
        const offset = lane.records.length
        const entry = lane.pending.shift()!
        const record = found.get(offset)
        const isIt =
          record === undefined
            ? entry.isAcknowledged
            : record.key === entry.key && record.value === entry.value
        if (isIt) lane.records.push({ offset, key: entry.key, value: entry.value })
        else expect(entry.isAcknowledged, `${name(lane)}: acknowledged and lost`).toBe(false)
      }
      expect(lane.records.length, `${name(lane)}: as many as there are offsets`).toBe(durableOffset)
      const lost = lane.pending.filter(({ isAcknowledged }) => isAcknowledged)
      expect(lost, `${name(lane)}: acknowledged and lost`).toEqual([])
      lane.pending = []
    }
  }

  async #check(): Promise<void> {
    await this.#settle()
    const read = await this.#readAll()
    this.#absorb(read)
    for (const lane of this.#lanes) this.#checkLane(lane, read.get(lane)!)
    await this.#checkTable()
    const { problems } = await this.#log.verify()
    expect(problems).toEqual([])
    expect(this.#disk.violations).toBe(0)
  }

  #checkLane(lane: Lane, found: readonly Found[]): void {
    const { stream, records, position } = lane
    const { logStartOffset } = this.#log.stream(stream).partitions[lane.partition]!
    const { deletes = true, compacts = false, retentionBytes } = POLICIES[stream]!
    expect(found, `${name(lane)}: only what was acknowledged, in order`).toEqual(
      found.map(({ offset }) => records[offset]),
    )
    expect(logStartOffset, `${name(lane)}: the log start never goes back`).toBeGreaterThanOrEqual(lane.start)
    lane.start = logStartOffset
    expect(logStartOffset, `${name(lane)}: nothing goes that upstream lacks`).toBeLessThanOrEqual(position)
    if (!deletes || retentionBytes === undefined) expect(logStartOffset, name(lane)).toBe(0)
    const there = new Set(found.map(({ offset }) => offset))
    const newest = new Map(records.map(({ key, offset }) => [key, offset]))
    for (const { offset, key, value } of records.slice(logStartOffset)) {
      const isLatest = newest.get(key) === offset
      // a tombstone may go once upstream has it
      const mayGo = compacts && offset < position && (!isLatest || value === null)
      if (!mayGo) expect(there.has(offset), `${name(lane)}: ${offset} is there`).toBe(true)
    }
  }

  async #checkTable(): Promise<void> {
    await until(() => this.#tables.status()[0]!.lagRecords === 0, 'the table has caught up')
    const expected = new Map<string, string>()
    for (const { stream, records } of this.#lanes) {
      if (stream !== 'states') continue
      for (const { key, value } of records) {
        if (value === null) expected.delete(key)
        else expected.set(key, value)
      }
    }
    const found = new Map<string, string>()
    for await (const { key, value } of this.#tables.scan('states')) found.set(`${key}`, `${value}`)
    expect([...found].sort()).toEqual([...expected].sort())
  }
}

/** By partition: keys that Kafka's partitioner puts there. */
const KEYS_OF = Array.from({ length: PARTITIONS }, (_, partition) =>
  Array.from({ length: 100 }, (__, n) => `key ${n}`)
    .filter((key) => partitionOfHash(murmur2(Buffer.from(key)), PARTITIONS) === partition)
    .slice(0, KEYS),
)

function keyOf(partition: number, n: number): string {
  return KEYS_OF[partition]![n]!
}

function foundIn(batch: Buffer): Found[] {
  return [...readRecords(batch)].map(({ offset, key, value }) => ({
    offset,
    key: `${key}`,
    value: value === null ? null : `${value}`,
  }))
}

function name({ stream, partition }: Lane): string {
  return `${stream}/${partition}`
}

describe('a whole log beside its model', () => {
  it(`agrees with it through ${LIVES} random lives`, async () => {
    await playLives(LIVES, (random) => new Life(random).run(), KEPT_SEEDS)
  }, 120_000)
})
