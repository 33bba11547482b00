/**
 * Records that are known to be lost, and which of them an operator has said to know of.
 *
 * What is lost the manifests of the log say, written with the salvage that found it, so that no start forgets it. Beside it stands one fact:
 *
 *   "log/lost-acknowledged" := JSON array of { "stream", "partition", "from", "to" }      `to` is the first offset after them
 *
 *   [{"stream":"events","partition":0,"from":40,"to":44}]
 *
 * It is one synced put: a crash leaves the old one or the new one. Where it is damaged nothing counts as acknowledged, and the alarm comes back.
 */
import type { EventLog } from '../log/event-log.ts'
import type { FactStore } from '../storage/fact-store.ts'
import { UsageError } from './errors.ts'
import { count } from './terminal/units.ts'

export interface LostRange {
  readonly stream: string
  readonly partition: number
  readonly from: number
  /** The first offset after them. */
  readonly to: number
}

export interface LostReport {
  /** In the order of streams, partitions and offsets, without those that are acknowledged. */
  readonly ranges: readonly LostRange[]
  /** Records at most: a damaged end leaves a gap of offsets that were never given to a record, too. */
  readonly offsets: number
}

const FACT = 'log/lost-acknowledged'

type Log = Pick<EventLog, 'streams' | 'holes'>
type Facts = Pick<FactStore, 'get' | 'put'>

export class LostRecords {
  readonly #log: Log
  readonly #facts: Facts
  #acknowledged: readonly LostRange[]

  private constructor(log: Log, facts: Facts, acknowledged: readonly LostRange[]) {
    this.#log = log
    this.#facts = facts
    this.#acknowledged = acknowledged
  }

  static async open(log: Log, facts: Facts): Promise<LostRecords> {
    return new LostRecords(log, facts, rangesIn(await facts.get(FACT)))
  }

  report(): LostReport {
    const ranges = without(this.#known(), this.#acknowledged)
    return { ranges, offsets: ranges.reduce((sum, { from, to }) => sum + to - from, 0) }
  }

  /**
   * An operator knows of all that is lost now.
   * @param offsets how many were shown: what was lost since then is not among them
   * @throws UsageError where it is another number, and what the disk says
   */
  async acknowledge(offsets: number): Promise<LostReport> {
    const report = this.report()
    if (report.offsets !== offsets) {
      const message = `${count(report.offsets)} records at most are lost, and ${count(offsets)} were confirmed`
      throw new UsageError(message, 'look at what is lost now: headwater log acknowledge')
    }
    if (offsets === 0) return report
    const known = this.#known()
    await this.#facts.put(FACT, Buffer.from(JSON.stringify(known)))
    this.#acknowledged = known
    return report
  }

  #known(): LostRange[] {
    const found = this.#log
      .streams()
      .flatMap(({ stream }) => this.#log.holes(stream).map((hole) => ({ stream, ...hole })))
    return merged(found)
  }
}

function rangesIn(payload: Buffer | undefined): LostRange[] {
  if (payload === undefined) return []
  try {
    const found = JSON.parse(payload.toString('utf8')) as unknown
    return Array.isArray(found) ? found.filter(isRange) : []
  } catch {
    return []
  }
}

function isRange(value: unknown): value is LostRange {
  const { stream, partition, from, to } = (value ?? {}) as Record<string, unknown>
  return typeof stream === 'string' && [partition, from, to].every(Number.isSafeInteger)
}

function order(a: LostRange, b: LostRange): number {
  if (a.stream !== b.stream) return a.stream < b.stream ? -1 : 1
  return a.partition - b.partition || a.from - b.from
}

const isOfOne = (a: LostRange, b: LostRange) => a.stream === b.stream && a.partition === b.partition

/** In order, none touching another. */
function merged(ranges: readonly LostRange[]): LostRange[] {
  const result: LostRange[] = []
  for (const { stream, partition, from, to } of ranges.toSorted(order)) {
    const last = result.at(-1)
    const range = { stream, partition, from, to }
    if (last === undefined || !isOfOne(last, range) || last.to < from) result.push(range)
    else if (last.to < to) result[result.length - 1] = { ...last, to }
  }
  return result
}

/** @param ranges merged */
function without(ranges: readonly LostRange[], known: readonly LostRange[]): LostRange[] {
  if (known.length === 0) return [...ranges]
  return ranges.flatMap((range) => {
    let left = [range]
    for (const other of known) {
      if (!isOfOne(range, other)) continue
      left = left.flatMap((part) => [
        { ...part, to: Math.min(part.to, other.from) },
        { ...part, from: Math.max(part.from, other.to) },
      ])
      left = left.filter(({ from, to }) => from < to)
    }
    return left
  })
}
