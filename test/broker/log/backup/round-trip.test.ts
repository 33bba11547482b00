/**
 * Random logs, backed up while they grow and while their segments are rewritten and dropped, restored, and compared
 * with what was appended. HEADWATER_TEST_SEED plays a life again.
 */
import { describe, expect, it } from 'vitest'
import type { Chain } from '../../../../broker/log/chain.ts'
import { NO_HEADERS } from '../../../../broker/log/record-batch.ts'
import type { Segment } from '../../../../broker/log/segment.ts'
import { type Keep, rewriteSegments } from '../../../../broker/log/segment-rewriter.ts'
import { DEFAULT_POLICY } from '../../../../broker/log/stream-policy.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { type Random, seededRandom, testSeed } from '../../../support/random.ts'
import { committed, temporaryDirectory } from '../support.ts'
import { backupInSteps, type Opened, openAll, type PlainRecord, recordsIn, restore } from './support.ts'

/** On the real disk, and on the one in memory, which is much quicker. */
const LIVES = { real: 3, memory: 40 }
const STREAMS = [
  { name: 'events', partitions: 3 },
  { name: 'alarms', partitions: 1 },
  { name: 'states', partitions: 2, policy: { ...DEFAULT_POLICY, deletes: false, compacts: true } },
]
const KEYS = 12

/** What was appended, by `stream/partition`, at its offset. */
type Model = Map<string, PlainRecord[]>

class Life {
  readonly #random: Random
  readonly #model: Model = new Map()
  readonly #disk: Disk
  readonly #opened: Opened
  #clock = 1000

  constructor(random: Random, disk: Disk, opened: Opened) {
    this.#random = random
    this.#disk = disk
    this.#opened = opened
    for (const { stream, partition } of opened.log.partitions()) this.#model.set(`${stream}/${partition}`, [])
  }

  async run(): Promise<void> {
    const { log, data } = this.#opened
    for (let i = this.#random.between(20, 60); i > 0; i--) await this.#step(false)
    await data.facts.put('sync/checkpoint/central', Buffer.from('{"incarnation":"x","positions":{}}'))
    await data.facts.put('groups/display', Buffer.from(String(this.#random.between(0, 100))))
    await this.#inFlight()
    const before = log.partitions()
    const inFlight = [...this.#opened.qos2].map(([chain, ids]) => [chain, ids.snapshot()] as const)
    const pieces: Buffer[] = []
    for await (const piece of backupInSteps(this.#opened, this.#disk, this.#random.between(1, 1500))) {
      pieces.push(Buffer.from(piece))
      if (this.#random.between(0, 3) === 0) await this.#step(true)
    }
    const after = log.partitions()
    expect((await log.verify()).problems).toEqual([])
    await this.#opened.close()

    const path = temporaryDirectory()
    const { backup } = await restore(this.#disk, path, Buffer.concat(pieces))
    expect(backup).toMatchObject({ isWhole: true, edge: 'line-7' })
    const restored = await openAll(this.#disk, path, { streams: STREAMS, segmentBytes: 3000 })
    expect((await restored.log.verify()).problems).toEqual([])
    for (const [i, { stream, partition, logStartOffset, durableOffset }] of before.entries()) {
      const now = restored.log.partitions()[i]!
      const name = `${stream}/${partition}`
      expect(now.durableOffset, name).toBeGreaterThanOrEqual(durableOffset)
      expect(now.logStartOffset, name).toBeGreaterThanOrEqual(logStartOffset)
      expect(now.logStartOffset, name).toBeLessThanOrEqual(Math.max(after[i]!.logStartOffset, logStartOffset))
      const found = await recordsIn(restored.log, stream, partition)
      const wanted = this.#model.get(name)!.slice(0, now.durableOffset)
      if (stream === 'states') expectCompacted(found, wanted, name)
      else expect(found, name).toEqual(wanted.slice(now.logStartOffset))
    }
    for (const [chain, snapshot] of inFlight) {
      expect(restored.qos2.get(chain)!.snapshot(), chain).toEqual(snapshot)
    }
    expect((await restored.data.facts.get('groups/display'))?.toString()).toMatch(/^[0-9]+$/)
    expect(await restored.data.facts.get('sync/checkpoint/central')).toBeUndefined()
    await this.#goesOn(restored)
    await restored.close()
  }

  async #step(isDuring: boolean): Promise<void> {
    const { log } = this.#opened
    const dice = this.#random.between(0, 99)
    if (dice < 70) await this.#append()
    else if (dice < 80) this.#any(log.chains()).roll()
    else if (dice < 90) await this.#rewrite(this.#any(log.chains()))
    else if (dice < 94 || (isDuring && dice < 98)) await this.#drop(log.chains()[0]!)
  }

  async #append(): Promise<void> {
    const { log } = this.#opened
    const { stream, partition } = this.#any(log.partitions())
    const { chain, partitions } = log.stream(stream)
    const records = this.#model.get(`${stream}/${partition}`)!
    for (let n = this.#random.between(1, 8); n > 0; n--) {
      const offset = records.length
      const key = `key ${this.#random.between(0, KEYS)}`
      const value = `${offset}`.padEnd(this.#random.between(1, 300), '.')
      const timestamp = this.#clock++
      chain.append(partitions[partition]!, timestamp, Buffer.from(key), Buffer.from(value), NO_HEADERS)
      records.push({ offset, timestamp, key, value })
    }
    await committed(log, stream)
  }

  async #inFlight(): Promise<void> {
    for (const [chain, ids] of this.#opened.qos2) {
      for (let n = this.#random.between(0, 20); n > 0; n--) {
        const packetId = this.#random.between(1, 10)
        const payload = Buffer.from(String(n))
        ids.add({ clientId: `client ${n % 3}`, packetId, isDup: false, topic: 't', payload })
        if (this.#random.between(0, 2) === 0) ids.release(`client ${n % 3}`, packetId)
      }
      await new Promise<void>((resolve, reject) => {
        const own = this.#opened.log.chains().find(({ name }) => name === chain)!
        own.onCommit((error) => (error === null ? resolve() : reject(error)))
      })
    }
  }

  /** Puts small batches together; in the compacted chain, without what a newer record of its key replaces. */
  async #rewrite(chain: Chain): Promise<void> {
    const { sealed } = chain.row
    if (sealed.length === 0) return
    const first = this.#random.between(0, sealed.length - 1)
    const run = sealed.slice(first, first + this.#random.between(1, 3))
    const done = await rewriteSegments(chain, run, this.#keep(chain, sealed), { isClosing: () => false })
    // one of the run had no records and went with a roll
    if (done === null) return
    const cleaned = chain.name === 'compacted' ? { cleaned: { states: [[1, null]] as const } } : {}
    const insert = done.segment === null ? {} : { insert: done.segment }
    await chain.rearrange({ remove: run, ...insert, ...cleaned })
  }

  #keep(chain: Chain, sealed: readonly Segment[]): Keep {
    if (chain.name === 'main') return () => true
    const newest = new Map<string, number>()
    for (const { id, stream, partition } of chain.partitions.values()) {
      const end = Math.max(0, ...sealed.flatMap((segment) => endIn(segment, id)))
      for (const { offset, key } of this.#model.get(`${stream}/${partition}`)!.slice(0, end)) {
        newest.set(`${id} ${key}`, offset)
      }
    }
    const keyOf = (id: number, offset: number): string => {
      const { stream, partition } = chain.partitions.get(id)!
      return `${id} ${this.#model.get(`${stream}/${partition}`)![offset]!.key}`
    }
    return (id, { offset }) => newest.get(keyOf(id, offset)) === offset
  }

  /** What retention does: the oldest segment goes, and the log starts behind it. */
  async #drop(chain: Chain): Promise<void> {
    const [oldest] = chain.row.sealed
    if (oldest === undefined) return
    const starts = new Map(oldest.summaries.map(({ id, nextOffset }) => [id, nextOffset]))
    await chain.rearrange({ remove: [oldest], starts })
  }

  /** The next record has the next offset, and a restart finds it all. */
  async #goesOn(restored: Opened): Promise<void> {
    const { chain, partitions } = restored.log.stream('alarms')
    const [alarms] = partitions
    const next = alarms!.durableOffset
    chain.append(alarms!, 9999, null, Buffer.from('after'), NO_HEADERS)
    await committed(restored.log, 'alarms')
    expect((await recordsIn(restored.log, 'alarms', 0)).at(-1)).toMatchObject({
      offset: next,
      value: 'after',
    })
  }

  #any<T>(some: readonly T[]): T {
    return some[this.#random.between(0, some.length - 1)]!
  }
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const endIn = (segment: Segment, id: number) =>
  segment.summaries.filter((summary) => summary.id === id).map(({ nextOffset }) => nextOffset)

/** Each record is one that was appended, none twice, and for each key the newest up to the end is there. */
function expectCompacted(found: readonly PlainRecord[], wanted: readonly PlainRecord[], name: string): void {
  const offsets = found.map(({ offset }) => offset)
  expect(offsets, name).toEqual([...new Set(offsets)].toSorted((a, b) => a - b))
  expect(found, name).toEqual(offsets.map((offset) => wanted[offset]))
  const table = (records: readonly PlainRecord[]) => new Map(records.map(({ key, offset }) => [key, offset]))
  expect(table(found), name).toEqual(table(wanted))
}

async function live(disk: Disk, life: number): Promise<void> {
  const seed = testSeed() + life
  const path = temporaryDirectory()
  await disk.makeDirectory(path)
  const opened = await openAll(disk, path, { streams: STREAMS, segmentBytes: 3000 })
  await new Life(seededRandom(seed), disk, opened).run().catch((error) => {
    throw new Error(`HEADWATER_TEST_SEED=${seed - life}, life ${life}: ${error.message}`, { cause: error })
  })
}

describe('a backup of a random log, restored, is that log', () => {
  it.each(range(LIVES.memory))('on the disk in memory (life %i)', (life) => live(new MemoryDisk(), life))

  it.each(range(LIVES.real))('on the real disk (life %i)', (life) => live(nodeDisk, 1000 + life))
})
