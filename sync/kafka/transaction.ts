/**
 * One round as one transaction:
 *
 *   AddPartitionsToTxn + AddOffsetsToTxn   both to the coordinator, one behind the other on its connection
 *   Produce                                the partitions' batches to their leaders, several requests in flight
 *   TxnOffsetCommit                        the next edge offset of each partition, into the edge's own group
 *   EndTxn(commit)                         makes all of it visible, or none
 *
 * Only requests whose answer says "not done yet" are repeated. Any other error ends the round: it is aborted as far as that
 * can be said, and the next `recover` asks what became of it.
 */
import { type LogIdentity, partitionKey } from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { originPrefix } from '../origin-header.ts'
import { partProof } from '../proof.ts'
import { nextSequence, PartSplicer, SpliceBuffer, type SplicedBatch, type Stamp } from '../splice.ts'
import type { Round, RoundPart } from '../upstream.ts'
import { encodeMetadata } from './checkpoint-metadata.ts'
import { COORDINATOR_ANSWERS, patiently } from './retry.ts'
import type { Lane, Session } from './session.ts'
import { type BrokerNode, type CommittedOffset, type ProduceAnswer, WireAnswerError } from './wire.ts'

/**
 * On one connection a broker. A second one would let Kafka read from it while it appends what came on the first, but its
 * check that a partition belongs to the transaction refuses a second one under way with NOT_ENOUGH_REPLICAS (measured
 * on 4.2). Kafka recognises the last five batches of a producer in a partition; one fewer in flight leaves room.
 */
const PRODUCE_IN_FLIGHT_MAX = 4
/**
 * A request is closed once it has this many bytes: small enough that this device splices while Kafka appends. Measured:
 * 780k records/s with 1 MB, 500k with all 5 MB of a round in one.
 */
const REQUEST_BYTES = 900_000
/** A buffer that one burst made larger is let go. */
const BUFFER_KEEP_BYTES_MAX = 8 * 1024 * 1024

export interface TransactionOptions {
  readonly transactionTimeoutMs: number
  /** Bytes of one batch; the cluster's max.message.bytes is 1,048,588 by default. */
  readonly batchBytesMax: number
  readonly provenance: 'record' | 'none'
}

/** The topic takes no batch of this size. */
export class BatchTooLarge extends Error {
  readonly lane: Lane
  readonly bytes: number
  readonly records: number
  readonly firstOffset: number
  constructor(lane: Lane, batch: SplicedBatch) {
    super(`${lane.topic}/${lane.partition} takes no batch of ${batch.bytes.length} bytes`)
    this.lane = lane
    this.bytes = batch.bytes.length
    this.records = batch.records
    this.firstOffset = batch.firstOffset
  }
}

/** The topic refuses a batch for what is in it. */
export class BatchRefused extends Error {
  readonly lane: Lane
  readonly answer: string
  constructor(lane: Lane, answer: string, message: string | null) {
    super(message ?? answer)
    this.lane = lane
    this.answer = answer
  }
}

/** Splice buffers that no request uses, kept for the next round. */
export class BufferPool {
  readonly #free: SpliceBuffer[] = []

  take(): SpliceBuffer {
    return this.#free.pop() ?? new SpliceBuffer()
  }

  give(buffer: SpliceBuffer): void {
    buffer.reset()
    const keep = buffer.bytes.length <= BUFFER_KEEP_BYTES_MAX && this.#free.length < PRODUCE_IN_FLIGHT_MAX
    if (keep) this.#free.push(buffer)
  }
}

interface Work {
  readonly lane: Lane
  readonly part: RoundPart
  readonly splicer: PartSplicer
  /** The topic's offset of the last record produced. */
  at: number
}

type Batches = readonly { readonly item: Work; readonly batch: SplicedBatch }[]

export class Transaction {
  readonly #session: Session
  readonly #clock: Clock
  readonly #options: TransactionOptions
  readonly #pool: BufferPool
  readonly #identity: LogIdentity
  readonly startedAt: number
  readonly #wallStartedAt: number

  constructor(
    session: Session,
    clock: Clock,
    options: TransactionOptions,
    pool: BufferPool,
    identity: LogIdentity,
  ) {
    this.#session = session
    this.#clock = clock
    this.#options = options
    this.#pool = pool
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
    const work = round.parts.map((part): Work => {
      const key = partitionKey(part.stream, part.partition)
      const lane = this.#session.lanes.get(key)!
      return { lane, splicer: new PartSplicer(part, this.#origin(part)), part, at: -1 }
    })
    const begun = this.#begin(work)
    await settled([begun, this.#produceAll(work, begun)])
    await this.#commitOffsets(work)
    await this.#end(true)
    for (const item of work) item.lane.last = lastOf(item)
  }

  /** Ends it without effect, so that readers need not wait for its timeout. */
  abort(): Promise<void> {
    return this.#end(false)
  }

  // -- steps ------------------------------------------------------------------------------------------------------------

  async #begin(work: readonly Work[]): Promise<void> {
    const { wire, producer, id } = this.#session
    const partitions = new Map<string, number[]>()
    for (const { lane, part } of work) {
      // a part whose position alone moves leaves no marker in its partition
      if (part.batches.length === 0) continue
      partitions.set(lane.topic, [...(partitions.get(lane.topic) ?? []), lane.partition])
    }
    // The markers of the last transaction may still be on their way: the coordinator says so, and is asked again.
    const adding = () => wire.addPartitionsToTxn(this.#session.transactionCoordinator, producer, partitions)
    await settled([
      ...(partitions.size > 0 ? [this.#coordinated(adding)] : []),
      this.#coordinated(() => wire.addOffsetsToTxn(this.#session.transactionCoordinator, producer, id)),
    ])
  }

  /** @param begun the first batches are put together meanwhile */
  async #produceAll(work: readonly Work[], begun: Promise<void>): Promise<void> {
    const byLeader = new Map<number, Work[]>()
    for (const item of work) {
      byLeader.set(item.lane.leader.id, [...(byLeader.get(item.lane.leader.id) ?? []), item])
    }
    await settled([...byLeader.values()].map((items) => this.#produceTo(items[0]!.lane.leader, items, begun)))
  }

  /** The batches for one leader, in requests of which several are in flight. */
  async #produceTo(leader: BrokerNode, work: readonly Work[], begun: Promise<void>): Promise<void> {
    const { producerId, epoch } = this.#session.producer
    const stamp = { producerId, producerEpoch: epoch, transactional: true }
    const inFlight = new Set<Promise<void>>()
    let failed: { error: unknown } | null = null
    const open = [...work]
    while (open.length > 0 && failed === null) {
      const buffer = this.#pool.take()
      const batches = this.#nextBatches(open, buffer, stamp)
      if (batches.length === 0) {
        this.#pool.give(buffer)
        break
      }
      const request = begun
        .then(() => this.#request(leader, batches))
        .then(
          // A buffer whose request failed may still be on its way into a socket: it is not used again.
          () => this.#pool.give(buffer),
          (error) => {
            failed ??= { error }
          },
        )
        .finally(() => inFlight.delete(request))
      inFlight.add(request)
      if (inFlight.size >= PRODUCE_IN_FLIGHT_MAX) await Promise.race(inFlight)
    }
    await Promise.all(inFlight)
    const outcome = failed as { error: unknown } | null
    if (outcome !== null) throw outcome.error
  }

  /** Batches for one request, at most one of each partition; partitions that have more go to the end of `open`. */
  #nextBatches(open: Work[], buffer: SpliceBuffer, stamp: Stamp): Batches {
    const batches: { item: Work; batch: SplicedBatch }[] = []
    let bytes = 0
    for (let turns = open.length; turns > 0 && bytes < REQUEST_BYTES; turns--) {
      const item = open.shift()!
      const { lane, splicer } = item
      const batch = splicer.next(buffer, stamp, lane.sequence, this.#options.batchBytesMax)
      if (batch === null) continue
      lane.sequence = nextSequence(lane.sequence, batch.records)
      bytes += batch.bytes.length
      batches.push({ item, batch })
      open.push(item)
    }
    return batches
  }

  async #request(leader: BrokerNode, batches: Batches): Promise<void> {
    const parts = batches.map(({ item: { lane }, batch }) => ({
      topic: lane.topic,
      partition: lane.partition,
      bytes: batch.bytes,
    }))
    const { wire, producer } = this.#session
    const answers = await wire.produce(leader, producer, parts, this.#options.transactionTimeoutMs)
    for (const { item, batch } of batches) {
      const { topic, partition } = item.lane
      const answer = answers.find((found) => found.topic === topic && found.partition === partition)
      checkProduced(item.lane, batch, answer)
      item.at = answer!.baseOffset + batch.records - 1
    }
  }

  async #commitOffsets(work: readonly Work[]): Promise<void> {
    const { wire, producer, id, clusterId } = this.#session
    const { incarnation } = this.#identity
    const offsets = work.map((item): CommittedOffset => {
      const { lane, part } = item
      const { stream, topicId } = lane
      const proof = partProof(part)
      const { at, epoch } = lastOf(item) ?? { at: -1, epoch: -1 }
      const metadata = encodeMetadata({ incarnation, stream, proof, cluster: clusterId, topicId, at, epoch })
      return { topic: lane.topic, partition: lane.partition, offset: part.nextOffset, metadata }
    })
    await this.#coordinated(
      () => wire.txnOffsetCommit(this.#session.groupCoordinator, producer, id, offsets),
      async () => {
        this.#session.groupCoordinator = await wire.findCoordinator('group', id)
      },
    )
  }

  #origin({ stream, partition }: RoundPart): string | null {
    return this.#options.provenance === 'none' ? null : originPrefix(this.#identity, stream, partition)
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

/** Where the last record of a lane stands after a round; one that moves a position alone leaves it. */
function lastOf({ lane, part, at }: Work): Lane['last'] {
  if (at < 0) return lane.last
  return { at, epoch: lane.leaderEpoch, next: part.nextOffset, proof: partProof(part) }
}

function checkProduced(lane: Lane, batch: SplicedBatch, found: ProduceAnswer | undefined): void {
  const answer = found?.answer ?? 'UNKNOWN_SERVER_ERROR'
  switch (answer) {
    case 'NONE':
      // Below what it acknowledged before: the topic was made anew, or lost its end.
      if (lane.last === null || found!.baseOffset > lane.last.at) return
      throw new WireAnswerError(
        'OFFSET_OUT_OF_RANGE',
        'Produce',
        `Produce to ${lane.topic}/${lane.partition}: its end fell back behind what it acknowledged`,
      )
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      throw new BatchTooLarge(lane, batch)
    case 'INVALID_TIMESTAMP':
    case 'TOPIC_AUTHORIZATION_FAILED':
    case 'INVALID_RECORD':
      throw new BatchRefused(lane, answer, found?.message ?? null)
    default:
      throw new WireAnswerError(answer, 'Produce', `Produce to ${lane.topic}/${lane.partition}: ${answer}`)
  }
}
