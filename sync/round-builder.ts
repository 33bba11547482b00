/**
 * Puts rounds of a bounded size together from lanes of stored batches, reading ahead while one is on its way. A higher lane goes first;
 * the lower ones keep a share of each round, so that a busy alarm stream does not stop everything else for ever.
 */
import { assert, type BatchMemory, partitionKey, recordCountOf, type StoredBatch } from '../broker/index.ts'
import type { Lane, Progress } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { Positions, Round, RoundPart } from './upstream.ts'

/** Of a round, for lanes below the highest one that has something. */
const LOWER_SHARE = 1 / 8
/** Read at one go where filters leave most of it out; then whoever waits (a pause, the end) is heard. */
const READ_AT_ONCE_MAX = 64 * 1024 * 1024

/** A round with what it is worth. */
export interface PlannedRound extends Round {
  readonly records: number
  /** Of stored batches. */
  readonly bytes: number
  /** Records that are done with, though they are not sent. */
  readonly filtered: number
  readonly passedOver: number
}

export interface TakeOptions {
  /** Lanes below it wait. */
  readonly priorityMin: number
  /** Also positions of partitions that have nothing to send. */
  readonly withMoves: boolean
}

const ALL: TakeOptions = { priorityMin: 0, withMoves: true }

export class RoundBuilder {
  readonly #lanes: readonly Lane[]
  readonly #progress: ReadonlyMap<string, Progress>
  readonly #positions: Map<string, number>
  readonly #memory: BatchMemory
  /** By `partitionKey`, what a round has that was taken and is not acknowledged. */
  readonly #underWay = new Set<string>()
  #filling: Promise<void> | null = null
  /** A read failed: what it had in hand is gone, and what lies behind must not overtake it. */
  #failure: { readonly error: unknown } | null = null
  /** The last `fill` came to the end of what it was to read. */
  caughtUp = false

  /** @param positions where upstream stands, of all partitions that it was asked about */
  constructor({ lanes, progress, memory }: Lanes, positions: Positions) {
    this.#memory = memory
    this.#lanes = lanes
    this.#progress = progress
    this.#positions = new Map(positions)
  }

  get positions(): Positions {
    return this.#positions
  }

  /** A batch came of a partition that upstream was not asked about: it has to be recovered first. */
  get foundUnknown(): boolean {
    return this.#lanes.some((lane) => lane.foundUnknown)
  }

  pendingBytes(priorityMin: number): number {
    return this.#open(priorityMin).reduce((bytes, lane) => bytes + lane.pendingBytes, 0)
  }

  /** When the oldest record that waits was accepted, ms since 1970. */
  get oldestTimestamp(): number | null {
    const known = this.#lanes.flatMap((lane) => lane.oldestTimestamp ?? [])
    return known.length === 0 ? null : Math.min(...known)
  }

  /** Some partition has nothing to send up to where it has been read: its position alone can move. */
  get hasMoves(): boolean {
    for (const [key, { next, pending }] of this.#progress) {
      if (pending === 0 && next > this.#positions.get(key)!) return true
    }
    return false
  }

  /** Up to where a partition needs nothing more to be sent, by `partitionKey`: its position, or further. */
  done(): Map<string, number> {
    const done = new Map(this.#positions)
    for (const [key, { next, pending }] of this.#progress) {
      if (pending === 0 && !this.#underWay.has(key)) done.set(key, next)
    }
    return done
  }

  /** Reads until `bytesMax` wait or the log has no more. Calls that overlap share one read. One that failed was the last. */
  async fill(bytesMax: number, priorityMin = 0): Promise<void> {
    while (this.#filling !== null) await this.#filling
    if (this.#failure !== null) throw this.#failure.error
    this.#filling = this.#fill(bytesMax, priorityMin)
      .catch((error) => {
        this.#failure = { error }
        throw error
      })
      .finally(() => {
        this.#filling = null
      })
    await this.#filling
  }

  async #fill(bytesMax: number, priorityMin: number): Promise<void> {
    this.caughtUp = false
    let ahead = 0
    let read = 0
    let isThrough = true
    for (const lane of this.#open(priorityMin)) {
      const wanted = Math.max(bytesMax - ahead, Math.ceil(bytesMax * LOWER_SHARE))
      while (lane.pendingBytes < wanted && !lane.foundUnknown && read < READ_AT_ONCE_MAX) {
        const bytes = await lane.read(wanted - lane.pendingBytes)
        if (bytes === 0) break
        read += bytes
      }
      isThrough &&= lane.pendingBytes < wanted && read < READ_AT_ONCE_MAX
      ahead += lane.pendingBytes
    }
    this.caughtUp = isThrough
  }

  /** Takes what waits, the highest lane first, up to about `bytesMax`; null when there is nothing to take. */
  take(bytesMax: number, { priorityMin, withMoves }: TakeOptions = ALL): PlannedRound | null {
    const byPartition = new Map<string, StoredBatch[]>()
    const lanes = this.#open(priorityMin).filter((lane) => lane.pendingBytes > 0)
    let left = bytesMax
    for (const [i, lane] of lanes.entries()) {
      const below = lanes.slice(i + 1).reduce((bytes, lower) => bytes + lower.pendingBytes, 0)
      const share = left - Math.min(below, Math.ceil(bytesMax * LOWER_SHARE))
      if (i > 0 && left <= 0) break
      for (const batch of lane.take(share)) {
        left -= batch.bytes.length
        this.#progress.get(partitionKey(batch.stream, batch.partition))!.pending--
        add(byPartition, batch)
      }
    }
    const parts = [...this.#progress].flatMap(([key, progress]) => {
      const part = this.#part(progress, this.#positions.get(key)!, byPartition.get(key) ?? [], withMoves)
      return part ?? []
    })
    return parts.length === 0 ? null : this.#planned(parts)
  }

  /** Only the positions of partitions that have nothing to send. */
  takeMoves(): PlannedRound | null {
    const parts = [...this.#progress].flatMap(
      ([key, progress]) => this.#part(progress, this.#positions.get(key)!, [], true) ?? [],
    )
    return parts.length === 0 ? null : this.#planned(parts)
  }

  #part(
    progress: Progress,
    fromOffset: number,
    taken: readonly StoredBatch[],
    withMoves: boolean,
  ): RoundPart | null {
    const batches = taken.filter(({ nextOffset }) => nextOffset > fromOffset)
    const isThrough = progress.pending === 0 && progress.next > fromOffset
    const { stream, partition } = progress
    if (batches.length === 0) {
      if (!isThrough || !withMoves) return null
      return {
        stream,
        partition,
        fromOffset,
        nextOffset: progress.next,
        batches,
        proof: progress.proof ?? null,
      }
    }
    const { nextOffset } = batches.at(-1)!
    if (!isThrough || progress.next === nextOffset)
      return { stream, partition, fromOffset, nextOffset, batches }
    return {
      stream,
      partition,
      fromOffset,
      nextOffset: progress.next,
      batches,
      proof: progress.proof ?? null,
    }
  }

  #planned(parts: readonly RoundPart[]): PlannedRound {
    let records = 0
    let bytes = 0
    let filtered = 0
    let passedOver = 0
    for (const part of parts) {
      const key = partitionKey(part.stream, part.partition)
      this.#underWay.add(key)
      const progress = this.#progress.get(key)!
      filtered += progress.filtered
      passedOver += progress.passedOver
      progress.filtered = 0
      progress.passedOver = 0
      for (const batch of part.batches) {
        records += recordCountOf(batch.bytes)
        bytes += batch.bytes.length
      }
    }
    return { parts, records, bytes, filtered, passedOver }
  }

  /** Upstream has the round: nobody reads its batches any more. */
  acknowledge(round: Round, positions: Positions): void {
    for (const part of round.parts) {
      const key = partitionKey(part.stream, part.partition)
      assert(positions.get(key) === part.nextOffset, 'upstream stands where the round ends')
      this.#positions.set(key, part.nextOffset)
      this.#underWay.delete(key)
      for (const { bytes } of part.batches) this.#memory.release(bytes)
    }
  }

  async close(): Promise<void> {
    await this.#filling?.catch(() => {})
    for (const lane of this.#lanes) await lane.close()
  }

  #open(priorityMin: number): readonly Lane[] {
    return this.#lanes.filter(({ priority }) => priority >= priorityMin)
  }
}

function add(byPartition: Map<string, StoredBatch[]>, batch: StoredBatch): void {
  const key = partitionKey(batch.stream, batch.partition)
  const batches = byPartition.get(key)
  if (batches === undefined) {
    byPartition.set(key, [batch])
    return
  }
  assert(batches.at(-1)!.nextOffset <= batch.baseOffset, 'the log gives batches in order')
  batches.push(batch)
}
