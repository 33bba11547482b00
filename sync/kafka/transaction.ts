/**
 * One round as one transaction, opened when its first request is ready to go:
 *
 *   AddPartitionsToTxn + AddOffsetsToTxn   both to the coordinator, one behind the other on its connection
 *   Produce                                the partitions' batches to their leaders, several requests in flight
 *   TxnOffsetCommit                        the next edge offset of each partition, into the edge's own group
 *   EndTxn(commit)                         makes all of it visible, or none
 *
 * Only requests whose answer says "not done yet" are repeated. Any other error ends the round: it is aborted as far as that
 * can be said, and the next `recover` asks what became of it.
 */
import type { LogIdentity } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import type { Round } from '../upstream.ts'
import { type ProduceOptions, produceAll } from './produce.ts'
import { COORDINATOR_ANSWERS, patiently } from './retry.ts'
import { roundOffsets } from './round-offsets.ts'
import { planWork, type Work } from './routes.ts'
import type { TransactionalSession } from './session.ts'
import type { CommittedOffset } from './wire.ts'

export interface TransactionOptions extends Pick<ProduceOptions, 'batchBytesMax' | 'compressor' | 'pool'> {
  readonly transactionTimeoutMs: number
  readonly provenance: 'record' | 'none'
}

export class Transaction {
  readonly #session: TransactionalSession
  readonly #clock: Clock
  readonly #options: TransactionOptions
  readonly #identity: LogIdentity
  readonly startedAt: number
  readonly #wallStartedAt: number

  constructor(
    session: TransactionalSession,
    clock: Clock,
    options: TransactionOptions,
    identity: LogIdentity,
  ) {
    this.#session = session
    this.#clock = clock
    this.#options = options
    this.#identity = identity
    this.startedAt = clock.monotonic()
    this.#wallStartedAt = clock.now()
  }

  /** True when the coordinator may have given up on it; the wall clock counts the time that a device slept. */
  get mayHaveTimedOut(): boolean {
    const ms = Math.max(this.#clock.monotonic() - this.startedAt, this.#clock.now() - this.#wallStartedAt)
    return ms >= this.#options.transactionTimeoutMs
  }

  async run(round: Round): Promise<void> {
    const { provenance, transactionTimeoutMs, ...options } = this.#options
    const { wire, producer, routes } = this.#session
    const isMarked = provenance === 'record'
    const work = planWork(routes, round, isMarked ? this.#identity : null)
    // Opened once its first request is ready: others wait for its end, not for this device to compress.
    let begun: Promise<void> | null = null
    const begin = () => {
      begun ??= this.#begin(work)
      return begun
    }
    const unfinished = await produceAll(work, {
      ...options,
      wire,
      writer: producer,
      timeoutMs: transactionTimeoutMs,
      begin,
      firstAlone: false,
    })
    if (unfinished !== null) throw unfinished.error
    // Records that compaction removed move a position, too.
    await begin()
    const { offsets, committed } = roundOffsets(this.#session, this.#identity, round, isMarked)
    await this.#commitOffsets(offsets)
    await this.#end(true)
    committed()
  }

  /** Ends it without effect, so that readers need not wait for its timeout. */
  abort(): Promise<void> {
    return this.#end(false)
  }

  // -- steps ------------------------------------------------------------------------------------------------------------

  async #begin(work: readonly Work[]): Promise<void> {
    const { wire, producer, id } = this.#session
    const partitions = new Map<string, number[]>()
    for (const { lane } of work) {
      partitions.set(lane.topic, [...(partitions.get(lane.topic) ?? []), lane.partition])
    }
    // The markers of the last transaction may still be on their way: the coordinator says so, and is asked again.
    const steps = [() => wire.addOffsetsToTxn(this.#session.transactionCoordinator, producer, id)]
    if (partitions.size > 0) {
      steps.unshift(() => wire.addPartitionsToTxn(this.#session.transactionCoordinator, producer, partitions))
    }
    await settled(steps.map((step) => this.#coordinated(step)))
  }

  #commitOffsets(offsets: readonly CommittedOffset[]): Promise<void> {
    const { wire, producer, id } = this.#session
    return this.#coordinated(
      () => wire.txnOffsetCommit(this.#session.groupCoordinator, producer, id, offsets),
      async () => {
        this.#session.groupCoordinator = await wire.findCoordinator('group', id)
      },
    )
  }

  #end(commit: boolean): Promise<void> {
    const { wire, producer } = this.#session
    return this.#coordinated(() => wire.endTxn(this.#session.transactionCoordinator, producer, commit))
  }

  #coordinated(ask: () => Promise<void>, moved = () => this.#findCoordinator()): Promise<void> {
    const msMax = this.#options.transactionTimeoutMs
    return patiently(this.#clock, { answers: COORDINATOR_ANSWERS, msMax }, ask, moved)
  }

  async #findCoordinator(): Promise<void> {
    const { wire, id } = this.#session
    this.#session.transactionCoordinator = await wire.findCoordinator('transaction', id)
  }
}

/** Waits for all, then throws the first error: an abort must not overtake a request, or one would open a transaction again. */
async function settled(requests: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(requests)) {
    if (outcome.status === 'rejected') throw outcome.reason
  }
}
