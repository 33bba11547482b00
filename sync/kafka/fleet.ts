/**
 * A round without a transaction, for topics where one is not wanted: many edges share them, and an open transaction would
 * hide what the others wrote.
 *
 *   Produce        idempotent: the cluster knows a batch that comes again from the same producer id, by its sequence
 *   OffsetCommit   the next edge offset of each partition, into the edge's own group, once all of it is acknowledged
 *
 * What is repeated, and when. The process ends between the two: the next one has another producer id and sends the round
 * again. An answer is lost and the link stays down for longer than `resendMs`: what was in flight is sent again, under
 * another producer id. An unclean election throws away what a round that failed had acknowledged: that is sent again. A topic is
 * made anew, or loses its end, between two rounds: the round that meets it is there, and comes again behind what was lost.
 * All else is exact: what is acknowledged is remembered here until its position is committed, and a
 * request without an answer is sent again as it was. Repeated records have the same `hw.origin`; none is missing, and
 * a reader that skips what is not above the last offset that it has of an edge's partition sees each record once, in order.
 */
import { type LogIdentity, partitionKey } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { nextSequence, SpliceBuffer, Splicer } from '../splice.ts'
import type { Round, RoundPart } from '../upstream.ts'
import { MOVED_ANSWERS } from './answers.ts'
import {
  type Batch,
  BatchTooLarge,
  compressAll,
  type ProduceOptions,
  produceAll,
  requestOnce,
  stampOf,
  type Unfinished,
} from './produce.ts'
import { COORDINATOR_ANSWERS, patiently } from './retry.ts'
import { roundOffsets } from './round-offsets.ts'
import { type Lane, planWork } from './routes.ts'
import { refreshLeaders, type Session } from './session.ts'
import { endedBefore, NEW_LEADER, type Written } from './truncation.ts'
import { WireAnswerError, WireConnectionError } from './wire.ts'

export interface FleetOptions
  extends Pick<ProduceOptions, 'batchBytesMax' | 'compressor' | 'pool' | 'timeoutMs'> {
  /** How long what has no answer is sent again, the same, before the round is given up. */
  readonly resendMs: number
  /** False once the connections were dropped on purpose. */
  readonly isOpen: () => boolean
  /** A topic takes batches of at most so many bytes. */
  readonly onTooLarge: (topic: string, bytesMax: number) => void
}

/** A batch behind one that was not taken is out of order until that one is there. */
const PASSING_ANSWERS = new Set([
  ...MOVED_ANSWERS,
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'REQUEST_TIMED_OUT',
])
const PASSING_FAULTS = new Set(['broken', 'timeout', 'refused', 'route'])
const FIRST_PAUSE_MS = 20
const PAUSE_MS_MAX = 500

/** How far a lane has acknowledged a local partition, and where and under which epoch the last record of it stands. */
interface Reached {
  readonly stream: string
  readonly next: number
  readonly at: number
  readonly epoch: number
}

/** For each local partition whose position is not committed yet: up to where each lane has acknowledged it. */
export class Acknowledged {
  readonly #byPartition = new Map<
    string,
    { next: number | null; place: string; byLane: Map<number, Reached> }
  >()

  /** Upstream stands at `next` in a local partition: what was acknowledged counts only behind the same position, in the same place. */
  recovered(key: string, next: number | null, place: string): void {
    const known = this.#byPartition.get(key)
    if (known !== undefined && known.next === next && known.place === place) return
    this.#byPartition.set(key, { next, place, byLane: new Map() })
  }

  committed(key: string, next: number): void {
    const known = this.#byPartition.get(key)
    if (known !== undefined) this.#byPartition.set(key, { ...known, next, byLane: new Map() })
  }

  /** The first offset of a part that a lane may not have. */
  from(part: RoundPart, lane: Lane): number {
    return this.#byPartition.get(keyOf(part))?.byLane.get(lane.partition)?.next ?? part.fromOffset
  }

  add(batch: Batch): void {
    const { partition, at, leaderEpoch: epoch } = batch.work.lane
    for (const { part, nextOffset: next } of batch.ends) {
      const { stream } = part
      this.#byPartition.get(keyOf(part))?.byLane.set(partition, { stream, next, at, epoch })
    }
  }

  /** No checkpoint names these records yet: what an unclean leader election threw away of them would be missing for good. */
  async forgetLost({ wire, routes }: Session, clock: Clock): Promise<void> {
    const written: (Written & { forget: () => void })[] = []
    for (const { byLane } of this.#byPartition.values()) {
      for (const [partition, { stream, at, epoch }] of byLane) {
        const lane = routes.get(stream)?.lanes[partition]
        if (lane !== undefined) written.push({ lane, at, epoch, forget: () => byLane.delete(partition) })
      }
    }
    for (const { forget } of await patiently(clock, NEW_LEADER, () => endedBefore(wire, written, 0))) forget()
  }
}

function keyOf({ stream, partition }: RoundPart): string {
  return partitionKey(stream, partition)
}

export class FleetRound {
  readonly #session: Session
  readonly #clock: Clock
  readonly #options: FleetOptions
  readonly #identity: LogIdentity
  readonly #acknowledged: Acknowledged

  constructor(
    session: Session,
    clock: Clock,
    options: FleetOptions,
    identity: LogIdentity,
    acknowledged: Acknowledged,
  ) {
    this.#session = session
    this.#clock = clock
    this.#options = options
    this.#identity = identity
    this.#acknowledged = acknowledged
  }

  async run(round: Round): Promise<void> {
    const { wire, producer, routes } = this.#session
    const { batchBytesMax, compressor, pool, timeoutMs } = this.#options
    const options: ProduceOptions = {
      batchBytesMax,
      compressor,
      pool,
      timeoutMs,
      wire,
      writer: producer,
      begin: async () => {},
      firstAlone: true,
      onAcknowledged: (batch) => this.#acknowledged.add(batch),
    }
    let work = planWork(routes, round, this.#identity, (part, lane) => this.#acknowledged.from(part, lane))
    for (;;) {
      const unfinished = await produceAll(work, options)
      if (unfinished === null) break
      await this.#finish(unfinished, options)
      work = [...unfinished.rest]
    }
    await this.#commit(round)
  }

  /** Sends what has no answer again, in the order of its sequences, one batch at a time. */
  async #finish({ batches, error }: Unfinished, options: ProduceOptions): Promise<void> {
    const left = [...batches]
    const until = this.#clock.monotonic() + this.#options.resendMs
    // Whether it is the first batch that is too large shows when it is sent again.
    let last: unknown = error instanceof BatchTooLarge ? null : error
    for (let pause = FIRST_PAUSE_MS; left.length > 0; ) {
      if (last !== null) {
        if (!this.#passes(last) || this.#clock.monotonic() + pause > until) throw last
        await new Promise<void>((resolve) => this.#clock.after(pause, resolve))
        pause = Math.min(pause * 2, PAUSE_MS_MAX)
        last = await failureOf(refreshLeaders(this.#session, this.#clock))
        if (last !== null) continue
      }
      const batch = left[0]!
      last = await failureOf(requestOnce(batch.work.lane.leader, [batch], options))
      if (last === null) left.shift()
      else if (last instanceof BatchTooLarge && batch.records > 1) {
        left.splice(0, 1, ...(await this.#halve(batch, options)))
        last = null
      }
    }
  }

  /** The same records in smaller batches, with the same sequences. */
  async #halve(batch: Batch, options: ProduceOptions): Promise<Batch[]> {
    const { records, plain: bytes, firstPart, sequence } = batch
    const bytesMax = Math.max(1, Math.floor(bytes.length / 2))
    this.#options.onTooLarge(batch.work.lane.topic, bytesMax)
    const { stream, partition } = firstPart
    const stored = { stream, partition, baseOffset: 0, nextOffset: records, bytes }
    const part: RoundPart = { stream, partition, fromOffset: 0, nextOffset: records, batches: [stored] }
    const splicer = new Splicer([{ part, origin: null }])
    const buffer = new SpliceBuffer(bytes.length * 2)
    const halves: Batch[] = []
    for (let next = sequence; ; ) {
      const spliced = splicer.next(buffer, stampOf(options.writer), next, bytesMax)
      if (spliced === null) break
      const { bytes: plain, records } = spliced
      halves.push({ ...batch, sequence: next, plain, bytes: plain, records, ends: [] })
      next = nextSequence(next, records)
    }
    // Only the last of them shows how far the partition is; the first one tells which record is in the way.
    halves.push({ ...halves.pop()!, ends: batch.ends })
    if (options.compressor !== null) await compressAll(halves, options.compressor)
    return halves
  }

  /** Whether the same batch can be taken a moment later. */
  #passes(error: unknown): boolean {
    if (!this.#options.isOpen()) return false
    if (error instanceof WireConnectionError) return PASSING_FAULTS.has(error.fault)
    return error instanceof WireAnswerError && PASSING_ANSWERS.has(error.answer)
  }

  async #commit(round: Round): Promise<void> {
    const { wire, id } = this.#session
    const { offsets, committed } = roundOffsets(this.#session, this.#identity, round, true)
    await patiently(
      this.#clock,
      { answers: COORDINATOR_ANSWERS, msMax: this.#options.timeoutMs },
      () => wire.offsetCommit(this.#session.groupCoordinator, id, offsets),
      async () => {
        this.#session.groupCoordinator = await wire.findCoordinator('group', id)
      },
    )
    committed()
    for (const part of round.parts) this.#acknowledged.committed(keyOf(part), part.nextOffset)
  }
}

function failureOf(work: Promise<void>): Promise<unknown> {
  return work.then(
    () => null,
    (error) => error,
  )
}
