/**
 * An upstream on NATS JetStream: a message holds records of one partition and, in its headers, the position after them, so
 * that the subject's last message is the checkpoint. Each is published on the condition that the subject still ends where
 * this process left it. See DESIGN.md.
 */
import {
  assert,
  type LogIdentity,
  type PartitionState,
  partitionKey,
  type Validity,
} from '../../broker/index.ts'
import {
  CheckpointMismatchError,
  NatsNotAllowedError,
  NatsRecordTooLargeError,
  NatsStreamFullError,
  NatsStreamMissingError,
  NatsStreamUnsuitableError,
  type UpstreamError,
} from '../errors.ts'
import { unlessRefused } from '../refused-streams.ts'
import type { Positions, Recovered, RecoveredPartition, Round, RoundPart, Upstream } from '../upstream.ts'
import { MESSAGE_TOO_LARGE, toUpstreamError } from './answers.ts'
import { encodeHead, type MessageHead, parseHead } from './format.ts'
import { Packer } from './packer.ts'
import { permissionsOf, prepareStream, type StreamOptions, type Target, targetOf } from './stream.ts'
import { Successions } from './successions.ts'
import {
  type NatsWire,
  NatsWireError,
  type StoredMessage,
  type StreamFacts,
  WRONG_LAST_SEQUENCE,
} from './wire.ts'

const OF_STREAM = [
  NatsStreamMissingError,
  NatsStreamUnsuitableError,
  NatsStreamFullError,
  NatsNotAllowedError,
  NatsRecordTooLargeError,
]
/** Partitions that are asked about, or have a message on its way, at one time. */
const LANES_MAX = 8
/** Bytes that the headers of one message take at most; names are bounded. */
const HEADERS_BYTES_MAX = 1024
/** What they and the acknowledgement take of the link, as a rule. */
const HEADERS_BYTES = 512
/** `STREAM.MSG.GET` answers in base64. */
const BASE64_GROWTH = 4 / 3

export interface NatsUpstreamOptions extends StreamOptions {
  readonly name: string
  /** The servers, for people. */
  readonly address: string
  readonly inboxPrefix: string
  readonly messageBytesMax: number
}

export interface NatsUpstreamDeps {
  /** Opens a connection; called again after each `disconnect`. */
  readonly openWire: (identity: LogIdentity) => Promise<NatsWire>
  readonly randomUuid: () => string
  /** How long this device's certificate is good. */
  readonly certificate?: () => Validity | null
}

/** One partition, and where its subject ends as far as this process knows. */
interface Lane {
  readonly target: Target
  readonly place: string
  seq: number
  /** Of one message; less once the stream has refused one. */
  payloadBytesMax: number
}

interface Session {
  readonly wire: NatsWire
  readonly identity: LogIdentity
  readonly lanes: ReadonlyMap<string, Lane>
}

export class NatsUpstream implements Upstream {
  readonly kind = 'nats'
  readonly name: string
  readonly address: string
  readonly #options: NatsUpstreamOptions
  readonly #deps: NatsUpstreamDeps
  readonly #instance: string
  readonly #successions: Successions
  #wire: NatsWire | null = null
  #wireBytes = 0
  #session: Session | null = null

  constructor(options: NatsUpstreamOptions, deps: NatsUpstreamDeps) {
    this.name = options.name
    this.address = options.address
    this.#options = options
    this.#deps = deps
    this.#instance = deps.randomUuid()
    this.#successions = new Successions(this.#instance)
  }

  get certificate(): Validity | null {
    return this.#deps.certificate?.() ?? null
  }

  /** Bytes that went over the link since the start, tries that failed included. */
  get wireBytes(): number {
    return Math.round(this.#wireBytes)
  }

  async recover(identity: LogIdentity, partitions: readonly PartitionState[]): Promise<Recovered> {
    this.#session = null
    return this.#explained(identity.edge, this.#options.stream, async () => {
      this.#wire ??= await this.#deps.openWire(identity)
      const wire = this.#wire
      const refused = new Map<string, UpstreamError>()
      const all = partitions.map((partition) => targetOf(this.#options, identity, partition))
      const streams = new Map<string, StreamFacts>()
      for (const target of all) {
        if (refused.has(target.stream)) continue
        await unlessRefused(refused, () =>
          this.#ofStream(identity.edge, target, () =>
            prepareStream(wire, this.#options, identity, target, streams),
          ),
        )
      }
      const targets = all.filter(({ stream }) => !refused.has(stream))
      const lanes = new Map<string, Lane>()
      const payloadBytesMax = Math.min(
        this.#options.messageBytesMax,
        wire.messageBytesMax - HEADERS_BYTES_MAX,
      )
      const recovered = new Map<string, RecoveredPartition>()
      await inLanes(targets, async (target) => {
        const facts = streams.get(target.natsStream)!
        const lane: Lane = {
          target,
          place: `${facts.name}@${facts.created}/${target.subject}`,
          seq: 0,
          payloadBytesMax,
        }
        const message = await wire.lastMessage(facts.name, target.subject)
        this.#wireBytes += HEADERS_BYTES + (message?.payload.length ?? 0) * BASE64_GROWTH
        const key = partitionKey(target.stream, target.partition)
        await unlessRefused(refused, async () => {
          recovered.set(key, await this.#recoverLane(wire, identity, lane, facts, message))
          lanes.set(key, lane)
        })
      })
      for (const { stream, partition } of targets) {
        if (refused.has(stream)) recovered.delete(partitionKey(stream, partition))
      }
      const [first] = refused.values()
      if (first !== undefined && recovered.size === 0) throw first
      this.#session = { wire, identity, lanes }
      return { partitions: recovered, refused }
    })
  }

  async send(round: Round): Promise<Positions> {
    const session = this.#session
    assert(session !== null, 'a round is sent after recover')
    // Until the round is acknowledged nothing is known: an error leaves it so, and recover finds out.
    this.#session = null
    await inLanes(round.parts, (part, isStopped) => this.#sendPart(session, part, isStopped))
    this.#session = session
    return new Map(round.parts.map((part) => [partitionKey(part.stream, part.partition), part.nextOffset]))
  }

  async disconnect(): Promise<void> {
    this.#session = null
    this.#wire?.close()
    this.#wire = null
  }

  close(): Promise<void> {
    return this.disconnect()
  }

  /** What the subject's last message says, compared with what this process knew of the subject. */
  async #recoverLane(
    wire: NatsWire,
    identity: LogIdentity,
    lane: Lane,
    facts: StreamFacts,
    message: StoredMessage | null,
  ): Promise<RecoveredPartition> {
    const { target, place } = lane
    if (message === null) {
      const isLost = await this.#isLost(wire, lane, facts)
      this.#successions.foundNothing(place)
      return { next: null, proof: null, place, ...(isLost ? { acknowledged: 0 } : {}) }
    }
    const head = parseHead(message.header)
    this.#check(lane, identity, head)
    lane.seq = message.seq
    this.#successions.found(place, target.subject, message.seq, head.instance)
    return { next: head.next, proof: head.proof, place }
  }

  /** Whether it is certain that the server has lost what was acknowledged, or never had any: nobody removed it. */
  async #isLost(wire: NatsWire, { place, target }: Lane, facts: StreamFacts): Promise<boolean> {
    if (facts.firstSeq <= 1 && facts.deleted === 0) return true
    const seq = this.#successions.lastSeq(place)
    if (seq === null || seq < facts.firstSeq) return false
    if (seq > facts.lastSeq) return true
    // The number is in use again, for something else.
    const other = await wire.messageAt(facts.name, seq)
    return other !== null && other.subject !== target.subject
  }

  #check({ target }: Lane, identity: LogIdentity, head: MessageHead | null): asserts head is MessageHead {
    const { subject, natsStream, stream, partition } = target
    const ofLog = (reason: string) =>
      new CheckpointMismatchError(
        `the last message of ${subject} in stream ${natsStream} ${reason}`,
        `stop this edge and give it another name with headwater rename; or, to send this log from its start, purge what is there: nats stream purge ${natsStream} --subject '${subject}'`,
      )
    const mismatch = (reason: string) => ofLog(reason).of(stream)
    if (head === null) throw mismatch('was not written by Headwater')
    const { origin } = head
    if (origin.edge !== identity.edge || origin.stream !== stream || origin.partition !== partition) {
      throw mismatch(`is of ${origin.edge}/${origin.stream}/${origin.partition}`)
    }
    if (origin.incarnation !== identity.incarnation) {
      throw ofLog(`belongs to incarnation ${origin.incarnation}, this log is ${identity.incarnation}`)
    }
  }

  async #sendPart(session: Session, part: RoundPart, isStopped: () => boolean): Promise<void> {
    const { wire, identity, lanes } = session
    const lane = lanes.get(partitionKey(part.stream, part.partition))
    assert(lane !== undefined, 'recover was asked for every partition of a round')
    const { natsStream } = lane.target
    await this.#ofStream(identity.edge, lane.target, async () => {
      const payloadBytesMax = wire.messageBytesMax - HEADERS_BYTES_MAX
      let packer = new Packer(part, lane.payloadBytesMax)
      for (let packed = packer.next(); packed !== null && !isStopped(); packed = packer.next()) {
        const { payload, from, next, proof } = packed
        const tooLarge = (bytesMax: number) =>
          new NatsRecordTooLargeError(part.stream, part.partition, from, payload.length, bytesMax)
        this.#wireBytes += payload.length + HEADERS_BYTES
        if (payload.length > payloadBytesMax) throw tooLarge(wire.messageBytesMax)
        const origin = { ...identity, stream: part.stream, partition: part.partition }
        const headers = encodeHead({ origin, from, next, proof, instance: this.#instance })
        const publication = { ...lane.target, stream: natsStream, headers, payload, expectedSeq: lane.seq }
        try {
          lane.seq = await wire.publish(publication)
        } catch (error) {
          if (error instanceof NatsWireError && error.apiCode === MESSAGE_TOO_LARGE) {
            if (packed.records === 1) throw tooLarge(payload.length - 1)
            // What is in front of it is there; the rest goes in smaller messages.
            lane.payloadBytesMax = Math.floor(payload.length / 2)
            packer = new Packer({ ...part, fromOffset: from }, lane.payloadBytesMax)
            continue
          }
          throw await this.#judge(session, lane, error)
        }
        this.#successions.sent(lane.place, lane.seq)
      }
    })
  }

  /** A publication that met another last message than expected: was it one of this process, or somebody else's? */
  async #judge({ wire }: Session, lane: Lane, error: unknown): Promise<unknown> {
    if (!(error instanceof NatsWireError) || !WRONG_LAST_SEQUENCE.has(error.apiCode)) return error
    const { natsStream, subject } = lane.target
    const message = await wire.lastMessage(natsStream, subject)
    const head = message === null ? null : parseHead(message.header)
    if (message !== null && head !== null) {
      this.#successions.found(lane.place, subject, message.seq, head.instance)
    }
    return error
  }

  /** What concerns one stream: what it is refused for there is about that stream alone. */
  async #ofStream(edge: string, { stream, natsStream }: Target, work: () => Promise<void>): Promise<void> {
    try {
      await this.#explained(edge, natsStream, work)
    } catch (error) {
      throw OF_STREAM.some((kind) => error instanceof kind) ? (error as UpstreamError).of(stream) : error
    }
  }

  async #explained<T>(edge: string, stream: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const permissions = permissionsOf(this.#options, this.#options.inboxPrefix, edge)
      throw toUpstreamError(error, { address: this.address, stream, permissions })
    }
  }
}

/** Works on all items, some at a time. After an error none is begun; it is thrown once those under way have ended. */
async function inLanes<T>(
  items: readonly T[],
  work: (item: T, isStopped: () => boolean) => Promise<void>,
): Promise<void> {
  let next = 0
  let failure: { error: unknown } | null = null
  const isStopped = () => failure !== null
  const lane = async () => {
    while (next < items.length && failure === null) {
      await work(items[next++]!, isStopped).catch((error) => {
        failure ??= { error }
      })
    }
  }
  await Promise.all(Array.from({ length: Math.min(LANES_MAX, items.length) }, lane))
  if (failure !== null) throw (failure as { error: unknown }).error
}
