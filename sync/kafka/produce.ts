/**
 * Sends what a round has for each partition: spliced into batches, compressed, in requests of which several are in
 * flight. While one waits for its answer the next ones are made ready. What an error means is for the caller to say: a
 * transaction is aborted, a round without one goes on with the same sequences.
 */
import { nextSequence, type PartEnd, SpliceBuffer, type Stamp } from '../splice.ts'
import type { RoundPart } from '../upstream.ts'
import type { BatchCompressor } from './compression.ts'
import type { Lane, Work } from './routes.ts'
import {
  type BrokerNode,
  type KafkaWire,
  type ProduceAnswer,
  WireAnswerError,
  type WriterIdentity,
} from './wire.ts'

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

/** One batch on its way. */
export interface Batch {
  readonly work: Work
  readonly records: number
  readonly sequence: number
  /** As spliced. */
  readonly plain: Buffer
  /** As sent: `plain`, or compressed. */
  bytes: Buffer
  readonly firstPart: RoundPart
  readonly firstOffset: number
  readonly ends: readonly PartEnd[]
  isAcknowledged: boolean
}

/** The topic takes no batch of this size. */
export class BatchTooLarge extends Error {
  readonly batch: Batch
  constructor(batch: Batch) {
    const { lane } = batch.work
    super(`${lane.topic}/${lane.partition} takes no batch of ${batch.bytes.length} bytes`)
    this.batch = batch
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

export interface ProduceOptions {
  readonly wire: KafkaWire
  readonly writer: WriterIdentity
  readonly timeoutMs: number
  /** By topic. */
  readonly batchBytesMax: (topic: string) => number
  readonly compressor: BatchCompressor | null
  readonly pool: BufferPool
  /** Called once the first request is ready; all requests wait for it. */
  readonly begin: () => Promise<void>
  /** The first batch of a producer in a partition is waited for: any first sequence would do where it was lost. */
  readonly firstAlone: boolean
  readonly onAcknowledged?: (batch: Batch) => void
}

/** What the cluster has not acknowledged, in the order of its sequences, and the first error. */
export interface Unfinished {
  readonly error: unknown
  readonly batches: readonly Batch[]
  /** What was not spliced yet. */
  readonly rest: readonly Work[]
}

/**
 * Sends all work, to each leader by itself, and waits until nothing is on its way: an abort must not overtake a request,
 * or that would open a transaction again.
 */
export async function produceAll(work: readonly Work[], options: ProduceOptions): Promise<Unfinished | null> {
  const byLeader = new Map<number, Work[]>()
  for (const item of work) {
    const { id } = item.lane.leader
    const known = byLeader.get(id)
    if (known === undefined) byLeader.set(id, [item])
    else known.push(item)
  }
  const ends = await Promise.all(
    [...byLeader.values()].map((items) => produceTo(items[0]!.lane.leader, items, options)),
  )
  const failed = ends.filter((end) => end !== null)
  if (failed.length === 0) return null
  const [batches, rest] = [failed.flatMap((end) => end.batches), failed.flatMap((end) => end.rest)]
  return { error: failed[0]!.error, batches, rest }
}

/** @returns null when all that was sent was acknowledged */
async function produceTo(
  leader: BrokerNode,
  open: Work[],
  options: ProduceOptions,
): Promise<Unfinished | null> {
  const { pool, compressor } = options
  const inFlight = new Set<Promise<void>>()
  /** In the order of their sequences. */
  const requests = new Set<readonly Batch[]>()
  let failed: { error: unknown } | null = null
  let turn: Promise<unknown> = Promise.resolve()
  while (open.length > 0 && failed === null) {
    const buffer = pool.take()
    const batches = nextBatches(open, buffer, options)
    if (batches.length === 0) {
      pool.give(buffer)
      break
    }
    requests.add(batches)
    const alone = options.firstAlone && batches.some(({ work }) => !work.lane.isKnown)
    const ready = compressor === null ? Promise.resolve() : compressAll(batches, compressor)
    // it is awaited a network answer later
    ready.catch(() => {})
    // One behind the other, so that sequences reach the broker in their order.
    const sent = turn.then(() => ready).then(options.begin)
    turn = sent.catch(() => {})
    const request = sent
      .then(() => {
        if (failed === null) return requestOnce(leader, batches, options)
        throw failed.error
      })
      .then(
        () => {
          requests.delete(batches)
          // A buffer whose request failed may still be on its way into a socket: it is not used again.
          pool.give(buffer)
        },
        (error) => {
          failed ??= { error }
        },
      )
      .finally(() => inFlight.delete(request))
    inFlight.add(request)
    if (alone) await Promise.all(inFlight)
    else if (inFlight.size >= PRODUCE_IN_FLIGHT_MAX) await Promise.race(inFlight)
  }
  await Promise.all(inFlight)
  const outcome = failed as { error: unknown } | null
  if (outcome === null) return null
  const batches = [...requests].flat().filter(({ isAcknowledged }) => !isAcknowledged)
  return { error: outcome.error, batches, rest: open }
}

/** Batches for one request, at most one of each partition; partitions that have more go to the end of `open`. */
function nextBatches(open: Work[], buffer: SpliceBuffer, { writer, batchBytesMax }: ProduceOptions): Batch[] {
  const stamp = stampOf(writer)
  const batches: Batch[] = []
  let bytes = 0
  for (let turns = open.length; turns > 0 && bytes < REQUEST_BYTES; turns--) {
    const work = open.shift()!
    const { lane, splicer } = work
    const sequence = lane.sequence
    const spliced = splicer.next(buffer, stamp, sequence, batchBytesMax(lane.topic))
    if (spliced === null) continue
    lane.sequence = nextSequence(sequence, spliced.records)
    bytes += spliced.bytes.length
    const { bytes: plain, ...rest } = spliced
    batches.push({ ...rest, work, sequence, plain, bytes: plain, isAcknowledged: false })
    open.push(work)
  }
  return batches
}

export function stampOf({ producerId, epoch, transactionalId }: WriterIdentity): Stamp {
  return { producerId, producerEpoch: epoch, transactional: transactionalId !== null }
}

export async function compressAll(batches: readonly Batch[], compressor: BatchCompressor): Promise<void> {
  await Promise.all(
    batches.map(async (batch) => {
      batch.bytes = await compressor.compress(batch.plain)
    }),
  )
}

/** One request, one try. @throws what the first batch that was not taken was refused for; the others are marked. */
export async function requestOnce(
  leader: BrokerNode,
  batches: readonly Batch[],
  { wire, writer, timeoutMs, onAcknowledged }: ProduceOptions,
): Promise<void> {
  const parts = batches.map(({ work: { lane }, bytes }) => ({
    topic: lane.topic,
    partition: lane.partition,
    bytes,
  }))
  const answers = await wire.produce(leader, writer, parts, timeoutMs)
  let first: Error | null = null
  for (const batch of batches) {
    const { topic, partition } = batch.work.lane
    const answer = answers.find((found) => found.topic === topic && found.partition === partition)
    const error = produceError(batch, answer)
    if (error === null) {
      acknowledge(batch, answer!)
      onAcknowledged?.(batch)
    } else first ??= error
  }
  if (first !== null) throw first
}

function acknowledge(batch: Batch, { baseOffset }: ProduceAnswer): void {
  batch.isAcknowledged = true
  const { lane } = batch.work
  lane.isKnown = true
  if (baseOffset >= 0) lane.at = baseOffset + batch.records - 1
}

function produceError(batch: Batch, found: ProduceAnswer | undefined): Error | null {
  const { lane } = batch.work
  const answer = found?.answer ?? 'UNKNOWN_SERVER_ERROR'
  switch (answer) {
    case 'NONE':
    // It came again, and the cluster has it.
    case 'DUPLICATE_SEQUENCE_NUMBER':
      if (found!.baseOffset < 0 || found!.baseOffset > lane.end) return null
      // Below what it acknowledged before: the topic was made anew, or lost its end.
      return new WireAnswerError(
        'OFFSET_OUT_OF_RANGE',
        'Produce',
        `Produce to ${lane.topic}/${lane.partition}: its end fell back behind what it acknowledged`,
      )
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return new BatchTooLarge(batch)
    case 'INVALID_TIMESTAMP':
    case 'TOPIC_AUTHORIZATION_FAILED':
    case 'INVALID_RECORD':
      return new BatchRefused(lane, answer, found?.message ?? null)
    default:
      return new WireAnswerError(
        answer,
        'Produce',
        `Produce to ${lane.topic}/${lane.partition}: ${answer}`,
        lane.topic,
      )
  }
}
