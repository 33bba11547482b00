/**
 * An upstream on Apache Kafka: each round is a transaction that holds the records and, as the offset of a group of the edge's
 * own, the position after them. What is committed there is the truth; this device keeps nothing that has to agree with it.
 * In `fleet` mode there is no transaction: the offset follows the records (fleet.ts).
 */
import {
  assert,
  type LogIdentity,
  type PartitionState,
  partitionKey,
  type Validity,
} from '../../broker/index.ts'
import type { Clock } from '../clock.ts'
import { FencedError, UpstreamTimeoutError } from '../errors.ts'
import type { Positions, Recovered, Round, Upstream } from '../upstream.ts'
import { answerError, MOVED_ANSWERS, toUpstreamError } from './answers.ts'
import { BatchLimits } from './batch-limits.ts'
import { openRoutes, refuseForeign } from './checkpoints.ts'
import { BatchCompressor, type Codec } from './compression.ts'
import { Acknowledged, FleetRound } from './fleet.ts'
import type { LinkMeter } from './link-meter.ts'
import { BatchTooLarge, BufferPool } from './produce.ts'
import { explainRefused } from './refused.ts'
import { lanesOf, type Partitioning } from './routes.ts'
import {
  type FormerProducer,
  initProducer,
  isFenced,
  type KnownSession,
  openFleetSession,
  openSession,
  refreshLeaders,
  refuseTakeover,
  type Session,
  type SessionOptions,
  type TransactionalSession,
} from './session.ts'
import { type MappedTopic, mapTopics, prepareTopics, type TopicOptions } from './topics.ts'
import { Transaction } from './transaction.ts'
import { correctTruncated } from './truncation.ts'
import { type ClusterInfo, type KafkaWire, WireAnswerError, WireConnectionError } from './wire.ts'
import { withLookBack } from './with-look-back.ts'

/** How long a round waits for leaders before the replicator backs off. */
const LEADERS_MS_MAX = 5000
const FIRST_PAUSE_MS = 20
const RESEND_MS = 10_000
/**
 * Kafka takes records by the topic's name: one that was deleted and made anew between two rounds takes the next one in the middle
 * of the log. A session looks at the topics' ids this often; sooner a new topic shows by its low offsets.
 */
const LOOK_AGAIN_MS = 30_000

export interface KafkaUpstreamOptions extends TopicOptions {
  readonly name: string
  /** The group and the transactional id are this followed by the edge id. */
  readonly groupPrefix: string
  readonly transactionTimeoutMs: number
  readonly batchBytesMax: number
  readonly provenance: 'record' | 'none'
  readonly mode: 'exactly-once' | 'fleet'
  readonly partitioning: Partitioning
  readonly compression: Codec
  /** Of gzip and zstd; their own default when it is not given. */
  readonly compressionLevel?: number
}

export interface KafkaUpstreamDeps {
  /** Opens connections; called again after each `disconnect`. */
  readonly openWire: () => Promise<KafkaWire>
  readonly clock: Clock
  readonly certificate?: () => Validity | null
  /** Counts what the wires carry. */
  readonly meter?: LinkMeter
  /** In `fleet` mode: how long what has no answer is sent again, the same, before the round fails. */
  readonly resendMs?: number
}

type Open =
  | { readonly kind: 'transactional'; readonly session: TransactionalSession }
  | { readonly kind: 'fleet'; readonly session: Session }

export class KafkaUpstream implements Upstream {
  readonly kind = 'kafka'
  readonly name: string
  readonly address: string
  readonly #options: KafkaUpstreamOptions
  readonly #deps: KafkaUpstreamDeps
  readonly #pool = new BufferPool()
  readonly #compressor: BatchCompressor | null
  readonly #acknowledged = new Acknowledged()
  #wire: KafkaWire | null = null
  #session: Open | null = null
  #identity: LogIdentity | null = null
  /** Known from an earlier session of this process; null when an InitProducerId may have been lost since. */
  #former: FormerProducer | null = null
  readonly #limits: BatchLimits
  /** Another process took over, and that was told. */
  #isFenced = false

  constructor(options: KafkaUpstreamOptions, deps: KafkaUpstreamDeps) {
    this.name = options.name
    this.address = options.bootstrap
    this.#options = options
    this.#deps = deps
    this.#limits = new BatchLimits(options.batchBytesMax)
    const { compression, compressionLevel = null } = options
    this.#compressor = compression === 'none' ? null : new BatchCompressor(compression, compressionLevel)
  }

  get certificate(): Validity | null {
    return this.#deps.certificate?.() ?? null
  }

  get wireBytes(): number | undefined {
    return this.#deps.meter?.bytes
  }

  async recover(identity: LogIdentity, partitions: readonly PartitionState[]): Promise<Recovered> {
    this.#session = null
    this.#identity = identity
    // Only a person makes a fenced upstream go on: this edge is to be the one, whoever was it meanwhile.
    if (this.#isFenced) this.#former = null
    this.#isFenced = false
    const { clock } = this.#deps
    const sessionOptions = this.#sessionOptions(`${this.#options.groupPrefix}${identity.edge}`)
    try {
      this.#wire ??= await this.#deps.openWire()
      const wire = this.#wire
      const mapped = mapTopics(this.#options.topic, identity, partitions)
      const { cluster, topics, refused } = await prepareTopics(wire, clock, this.#options, mapped)
      // Nobody is fenced for nothing.
      if (topics.size === 0 && refused.size > 0) return { partitions: new Map(), refused }
      const open = await this.#open(wire, cluster, sessionOptions, topics)
      const { session } = open
      // Looking for lost records may have to end a transaction of nothing.
      if (open.kind === 'transactional')
        this.#former = { producer: open.session.producer, transactionOpen: true }
      const { partitioning } = this.#options
      const routing = { ...sessionOptions, partitioning }
      const found = await openRoutes(session, clock, routing, cluster, topics, identity)
      const recovered = withoutRefused(session, await correctTruncated(session, clock, this.#options, found))
      if (open.kind === 'transactional')
        this.#former = { producer: open.session.producer, transactionOpen: false }
      else await this.#recallAcknowledged(session, recovered)
      this.#session = open
      const known = { ...recovered, refused: new Map([...refused, ...recovered.refused]) }
      const { provenance, mode } = this.#options
      // Without transactions a round that met a new topic, or lacked what was in front of it, is seen there: it tells nothing.
      if (provenance === 'none' || mode === 'fleet') return known
      return withLookBack(session, known, (error) => this.#told(error))
    } catch (error) {
      throw this.#told(error)
    }
  }

  async send(round: Round): Promise<Positions> {
    const open = this.#session
    assert(open !== null && this.#identity !== null, 'a round is sent after recover')
    // Until the round is acknowledged nothing is known: an error leaves it so, and recover finds out.
    this.#session = null
    try {
      if (open.kind === 'fleet') await this.#deliverPlain(open.session, round)
      else await this.#deliver(open.session, round)
    } catch (error) {
      if (error instanceof BatchTooLarge) this.#limits.forget(error.batch.work.lane.topic)
      throw this.#told(explainRefused(error, open.session))
    }
    this.#session = open
    return new Map(round.parts.map((part) => [partitionKey(part.stream, part.partition), part.nextOffset]))
  }

  async disconnect(): Promise<void> {
    this.#session = null
    this.#wire?.close()
    this.#wire = null
  }

  async close(): Promise<void> {
    await this.disconnect()
  }

  async #open(
    wire: KafkaWire,
    cluster: ClusterInfo,
    options: SessionOptions,
    topics: ReadonlyMap<string, MappedTopic>,
  ): Promise<Open> {
    const { clock } = this.#deps
    if (this.#options.mode === 'fleet') {
      return { kind: 'fleet', session: await openFleetSession(wire, clock, options, cluster) }
    }
    const look = (known: KnownSession) =>
      refuseForeign(known, clock, options, cluster, topics, this.#identity!)
    const session = await openSession(wire, clock, options, cluster, this.#former, look, () => {
      this.#former = null
    })
    return { kind: 'transactional', session }
  }

  /** What was acknowledged counts for the same mapping alone: with another one a lane gets other records. */
  async #recallAcknowledged(session: Session, { partitions }: Recovered): Promise<void> {
    for (const { stream, partitions: count, mapping } of session.routes.values()) {
      for (let partition = 0; partition < count; partition++) {
        const key = partitionKey(stream, partition)
        const { next, place } = partitions.get(key)!
        this.#acknowledged.recovered(key, next, `${place} ${JSON.stringify(mapping)}`)
      }
    }
    await this.#acknowledged.forgetLost(session, this.#deps.clock)
  }

  async #deliverPlain(session: Session, round: Round): Promise<void> {
    const { clock, resendMs = RESEND_MS } = this.#deps
    const options = {
      batchBytesMax: this.#limits.of,
      compressor: this.#compressor,
      pool: this.#pool,
      timeoutMs: this.#options.transactionTimeoutMs,
      resendMs,
      isOpen: () => this.#wire === session.wire,
      onTooLarge: (topic: string, bytesMax: number) => this.#limits.lower(topic, bytesMax),
    }
    if (this.#shouldLookAgain(session)) await this.#lookAgain(session, clock.monotonic() + LEADERS_MS_MAX)
    await new FleetRound(session, clock, options, this.#identity!, this.#acknowledged).run(round)
  }

  #told(error: unknown): unknown {
    this.#isFenced = error instanceof FencedError
    return toUpstreamError(error, this.address)
  }

  /** Tries the round until it is through or an error ends it; each try that failed was aborted before the next. */
  async #deliver(session: TransactionalSession, round: Round): Promise<void> {
    const { clock } = this.#deps
    const until = clock.monotonic() + LEADERS_MS_MAX
    if (this.#shouldLookAgain(session)) await this.#lookAgain(session, until)
    for (let pause = FIRST_PAUSE_MS; ; pause *= 2) {
      const failure = await this.#attempt(session, round)
      if (failure === null) return
      if (failure instanceof WireAnswerError) {
        if (clock.monotonic() + pause > until) throw failure
        await new Promise<void>((resolve) => clock.after(pause, resolve))
        await this.#lookAgain(session, until)
      }
      await this.#renewEpoch(session)
    }
  }

  /** Leadership can move on between two questions: they are asked again. */
  async #lookAgain(session: Session, until: number): Promise<void> {
    const { clock } = this.#deps
    for (let pause = FIRST_PAUSE_MS; ; pause *= 2) {
      try {
        await refreshLeaders(session, clock)
        return
      } catch (error) {
        const passes = error instanceof WireAnswerError && MOVED_ANSWERS.has(error.answer)
        if (!passes || clock.monotonic() + pause > until) throw error
        await new Promise<void>((resolve) => clock.after(pause, resolve))
      }
    }
  }

  /** A connection that went away: its broker may have started again with less than it had. */
  #shouldLookAgain({ wire, looked }: Session): boolean {
    if (wire.lostConnections !== looked.lostConnections) return true
    return this.#deps.clock.monotonic() - looked.at > LOOK_AGAIN_MS
  }

  /** @returns null, or why the round was aborted and is to be tried again: in smaller batches, or with other leaders */
  async #attempt(
    session: TransactionalSession,
    round: Round,
  ): Promise<BatchTooLarge | WireAnswerError | null> {
    const { transactionTimeoutMs, provenance } = this.#options
    const batchBytesMax = this.#limits.of
    const compressor = this.#compressor
    const options = { transactionTimeoutMs, provenance, batchBytesMax, compressor, pool: this.#pool }
    const { clock } = this.#deps
    const transaction = new Transaction(session, clock, options, this.#identity!)
    this.#former = { producer: session.producer, transactionOpen: true }
    try {
      await transaction.run(round)
      this.#former = { producer: session.producer, transactionOpen: false }
      return null
    } catch (error) {
      if (isFenced(error)) throw await this.#judgeFence(session, transaction, error)
      if (error instanceof BatchTooLarge && error.batch.records > 1) {
        await transaction.abort()
        const { plain, work } = error.batch
        this.#limits.lower(work.lane.topic, Math.floor(plain.length / 2))
        return error
      }
      if (error instanceof WireAnswerError && error.during === 'Produce' && MOVED_ANSWERS.has(error.answer)) {
        await transaction.abort()
        return error
      }
      // On a broken connection an abort cannot be sent; InitProducerId aborts when the link is back.
      if (!(error instanceof WireConnectionError)) await transaction.abort().catch(() => {})
      throw error
    }
  }

  /** Sequences begin anew, so that those of batches that were refused do not matter. */
  async #renewEpoch(session: TransactionalSession): Promise<void> {
    this.#former = null
    const { wire, transactionCoordinator } = session
    const options = this.#sessionOptions(session.id)
    const { producer, coordinator } = await initProducer(
      wire,
      this.#deps.clock,
      options,
      transactionCoordinator,
    )
    session.producer = producer
    session.transactionCoordinator = coordinator
    for (const lane of lanesOf(session)) lane.sequence = 0
  }

  #sessionOptions(id: string): SessionOptions {
    const { bootstrap, transactionTimeoutMs } = this.#options
    return { bootstrap, transactionTimeoutMs, id }
  }

  async #judgeFence(session: TransactionalSession, transaction: Transaction, cause: unknown): Promise<Error> {
    const { wire, transactionCoordinator, producer } = session
    const timedOut = new UpstreamTimeoutError('the cluster gave up on a round that took too long', cause)
    const former = { producer, transactionOpen: true }
    const seen = await refuseTakeover(wire, transactionCoordinator, former, 'while sending')
    if (seen === 'timed-out' || (seen !== 'same' && transaction.mayHaveTimedOut)) return timedOut
    if (seen === 'same') return answerError('PRODUCER_FENCED', 'a round', cause)
    return new FencedError(producer.transactionalId, 'while sending', cause)
  }
}

/** A stream that is refused has no part in the session. */
function withoutRefused(session: Session, { partitions, refused }: Recovered): Required<Recovered> {
  const kept = new Map(partitions)
  for (const stream of refused?.keys() ?? []) {
    for (let partition = 0; partition < (session.routes.get(stream)?.partitions ?? 0); partition++) {
      kept.delete(partitionKey(stream, partition))
    }
    session.routes.delete(stream)
  }
  return { partitions: kept, refused: refused ?? new Map() }
}
