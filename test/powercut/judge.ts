/**
 * Holds what the log has against what the writers know. Three expectations:
 *
 *   every-record    all that was acknowledged is there, QoS 2 once, QoS 1 at most once a sending, in order, offsets without a gap
 *   window          the same from the log start offset on, which may rise. What went before a judgement saw it cannot be named: no more
 *                   may be missing than offsets went so
 *   latest-per-key  of each topic, which is the key, the newest acknowledged record or a newer one; offsets ascend
 */
import type { Ledger } from './ledger.ts'
import { originOf, payloadOf } from './payload.ts'

export type Expectation = 'every-record' | 'window' | 'latest-per-key'

export interface PartitionEnds {
  readonly stream: string
  readonly partition: number
  readonly logStartOffset: number
  readonly durableOffset: number
}

export interface FoundRecord {
  readonly offset: number
  readonly topic: string | null
  readonly value: string | null
}

/** What was seen of a partition at earlier cuts. */
interface SeenPartition {
  readonly name: string
  /** The offset after the last one seen: it never goes back. */
  next: number
  /** `writer sequence` by offset, from the first seen on. */
  readonly records: string[]
  /** By writer: its newest sequence number here; a repetition is not newer. */
  readonly newest: Map<string, number>
}

/** More than this of one kind tells nothing new. */
const PROBLEMS_MAX = 20
const LOST_SHOWN_MAX = 8

export class Judge {
  readonly #expectation: Expectation
  readonly #seed: number
  readonly #ledgers: ReadonlyMap<string, Ledger>
  readonly #seen = new Map<string, SeenPartition>()
  /** By writer and sequence number: copies in the log. */
  readonly #copies = new Map<string, number[]>()
  /** `latest-per-key`: the newest sequence number by key. */
  readonly #latest = new Map<string, number>()
  #problems: string[] = []
  #newRecords = 0
  #droppedUnseen = 0

  constructor(expectation: Expectation, ledgers: readonly Ledger[], seed: number) {
    this.#expectation = expectation
    this.#seed = seed
    this.#ledgers = new Map(ledgers.map((ledger) => [ledger.writer, ledger]))
    for (const { writer } of ledgers) this.#copies.set(writer, [])
  }

  /** From where the partition is to be read to the next judgement; compaction changes what was seen before. */
  readFrom({ stream, partition, logStartOffset }: PartitionEnds): number {
    if (this.#expectation === 'latest-per-key') return logStartOffset
    return Math.max(logStartOffset, this.#partition(stream, partition).next)
  }

  /** Takes what was read from a partition, from `readFrom` to its durable offset. */
  take(ends: PartitionEnds, records: readonly FoundRecord[]): void {
    const seen = this.#partition(ends.stream, ends.partition)
    if (ends.durableOffset < seen.next) {
      this.#problem(`${seen.name} ends at ${ends.durableOffset}: a reader saw offset ${seen.next - 1}`)
    }
    if (ends.logStartOffset > 0 && this.#expectation === 'every-record') {
      this.#problem(`${seen.name} begins at ${ends.logStartOffset}: nothing may drop its beginning`)
    }
    let expected = this.readFrom(ends)
    if (this.#expectation === 'window') this.#droppedUnseen += expected - seen.next
    for (const { offset, topic, value } of records) {
      const isPlaced = this.#expectation === 'latest-per-key' ? offset >= expected : offset === expected
      if (!isPlaced) this.#problem(`${seen.name}: offset ${expected} expected, ${offset} found`)
      this.#record(seen, offset, topic, value ?? '')
      expected = offset + 1
    }
    if (expected !== ends.durableOffset && this.#expectation !== 'latest-per-key') {
      this.#problem(`${seen.name}: read to ${expected}, its durable offset is ${ends.durableOffset}`)
    }
    seen.next = Math.max(seen.next, ends.durableOffset)
  }

  /** After all partitions were taken. @returns what is wrong, and how many records are new since the last time */
  verdict(): { problems: string[]; newRecords: number } {
    const ledgers = [...this.#ledgers.values()]
    if (this.#expectation === 'latest-per-key') for (const ledger of ledgers) this.#judgeLatest(ledger)
    else this.#judgeLost(ledgers.map((ledger) => ({ ledger, lost: this.#judgeCopies(ledger) })))
    const verdict = { problems: this.#problems, newRecords: this.#newRecords }
    this.#problems = []
    this.#newRecords = 0
    this.#latest.clear()
    return verdict
  }

  /** `writer sequence` of all records of a partition that were seen, from its first offset on. */
  recordsOf(stream: string, partition: number): readonly string[] {
    return this.#partition(stream, partition).records
  }

  #record(seen: SeenPartition, offset: number, topic: string | null, value: string): void {
    const origin = originOf(value)
    const ledger = origin === null ? undefined : this.#ledgers.get(origin.writer)
    if (origin === null || ledger === undefined) {
      this.#problem(`${seen.name} offset ${offset}: no writer sent "${value.slice(0, 40)}"`)
      return
    }
    const { writer, sequence } = origin
    const name = `${seen.name} offset ${offset}: ${writer} ${sequence}`
    if (!(ledger.sends[sequence]! > 0)) this.#problem(`${name} was never sent`)
    if (topic !== ledger.topicOf(sequence)) this.#problem(`${name} has the topic ${topic}`)
    if (value !== payloadOf(writer, sequence, this.#seed).toString('latin1')) {
      this.#problem(`${name} has other bytes than were sent`)
    }
    if (this.#expectation === 'latest-per-key') {
      const key = ledger.topicOf(sequence)
      this.#latest.set(key, Math.max(sequence, this.#latest.get(key) ?? -1))
      if (offset < seen.next) return
    }
    this.#newRecords++
    seen.records[offset] = `${writer} ${sequence}`
    const copies = this.#copies.get(writer)!
    const newest = seen.newest.get(writer) ?? -1
    if (copies[sequence] === undefined && sequence < newest) this.#problem(`${name} stands behind ${newest}`)
    seen.newest.set(writer, Math.max(newest, sequence))
    copies[sequence] = (copies[sequence] ?? 0) + 1
  }

  /** @returns acknowledged sequence numbers that are not there */
  #judgeCopies({ writer, qos, sends, isAcknowledged }: Ledger): number[] {
    const copies = this.#copies.get(writer)!
    const lost: number[] = []
    for (const [sequence, sent] of sends.entries()) {
      const found = copies[sequence] ?? 0
      if (found === 0 && isAcknowledged[sequence] === true) lost.push(sequence)
      if (found > (qos === 2 ? 1 : sent)) {
        this.#problem(`${writer} ${sequence} (QoS ${qos}) was sent ${sent} times and is there ${found} times`)
      }
    }
    return lost
  }

  #judgeLost(found: readonly { ledger: Ledger; lost: readonly number[] }[]): void {
    if (found.reduce((sum, { lost }) => sum + lost.length, 0) <= this.#droppedUnseen) return
    for (const { ledger, lost } of found) {
      if (lost.length === 0) continue
      const which = `${lost.slice(0, LOST_SHOWN_MAX).join(', ')}${lost.length > LOST_SHOWN_MAX ? ', ...' : ''}`
      this.#problem(
        `${ledger.writer} (QoS ${ledger.qos}): ${lost.length} acknowledged records are lost: ${which}`,
      )
    }
  }

  #judgeLatest({ writer, topics, isAcknowledged }: Ledger): void {
    const newest = new Map<string, number>()
    for (const [sequence, acknowledged] of isAcknowledged.entries()) {
      if (acknowledged === true) newest.set(topics[sequence % topics.length]!, sequence)
    }
    for (const [topic, sequence] of newest) {
      const found = this.#latest.get(topic) ?? -1
      if (found < sequence) {
        this.#problem(`${topic}: ${writer} ${sequence} was acknowledged, the newest there is ${found}`)
      }
    }
  }

  #partition(stream: string, partition: number): SeenPartition {
    const name = `${stream}/${partition}`
    let seen = this.#seen.get(name)
    if (seen === undefined) {
      seen = { name, next: 0, records: [], newest: new Map() }
      this.#seen.set(name, seen)
    }
    return seen
  }

  #problem(text: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(text)
  }
}
