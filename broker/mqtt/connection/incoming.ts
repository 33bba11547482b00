/**
 * What a client publishes: from a frame to the open commit of the log, without an object a message where nobody subscribes. QoS 1 is acknowledged by
 * its commit; QoS 2 has its packet id in the same commit and is released by another one.
 */
import type { Chain } from '../../log/chain.ts'
import { NO_HEADERS } from '../../log/record-batch.ts'
import type { Backlog } from '../hub/backlog.ts'
import { encodePuback, encodePubrec } from '../packets/answers.ts'
import type { Frame } from '../packets/frame-scanner.ts'
import type { Connect } from '../packets/packet.ts'
import { MqttProtocolError, Reason, type ReasonCode, violation } from '../packets/protocol-error.ts'
import type { PublishView } from '../packets/publish-view.ts'
import { readPublish } from '../packets/publish-view.ts'
import { messageHeaders } from '../record-headers.ts'
import type { Who } from '../who.ts'
import type { Principal } from './access.ts'
import { type Acknowledgements, Answer, type Awaited } from './acknowledgements.ts'
import type { ConnectionContext } from './context.ts'
import { CommittedMessage, type PendingCommit } from './pending-commits.ts'
import type { TopicEntry } from './topic-cache.ts'

/** Topics of which a connection remembers whether it may publish to them. */
const VERDICTS_MAX = 256
/** What a connection has handed over on topics that no stream takes and that is not on disk yet: at it nothing more is read. */
const STORING_BYTES_MAX = 1024 * 1024
/** What a small message takes beside its bytes. */
const MESSAGE_BYTES = 256
/** A QoS 2 message that comes once more under the same packet id is taken for a repetition; more often it has to say so. */
const WITHOUT_DUP_MAX = 2

/** A message that is refused on a connection that can say so in no other way than to end. */
export class RefusedMessageError extends Error {
  readonly reasonCode: ReasonCode
  constructor(reasonCode: ReasonCode, text: string) {
    super(text)
    this.name = 'RefusedMessageError'
    this.reasonCode = reasonCode
  }
}

/** What holds up whoever publishes. */
export interface IncomingPressure {
  /** What waits for the client itself. */
  readonly own: Backlog | null
  /** Nothing more is to be handed over until this commit has settled. */
  crowded(commit: PendingCommit): void
  /** Nothing more is to be handed over until it is false again. */
  storing(isFull: boolean): void
}

export class Incoming {
  readonly #context: ConnectionContext
  readonly #connect: Connect
  readonly #principal: Principal
  readonly #who: Who
  readonly #acknowledgements: Acknowledgements
  readonly #pressure: IncomingPressure
  #storingBytes = 0
  /** PUBLISHes taken. */
  messages = 0
  #last: TopicEntry | null = null
  #mayLast = false
  /** Weak: the entries are the topic cache's to keep. */
  #verdicts: WeakMap<TopicEntry, boolean> | null = null
  #verdictCount = 0
  #generation = -1
  #aliases: (TopicEntry | undefined)[] | null = null
  /** Packet ids of QoS 2 that came on this connection and were not released; with each, how often its message came without DUP. */
  #qos2: Map<number, number> | null = null
  /** It was full for too long: while it still is, nobody waits for it again. */
  #fullChain: Chain | null = null

  constructor(
    context: ConnectionContext,
    connect: Connect,
    principal: Principal,
    who: Who,
    acknowledgements: Acknowledgements,
    pressure: IncomingPressure,
  ) {
    this.#pressure = pressure
    this.#context = context
    this.#connect = connect
    this.#principal = principal
    this.#who = who
    this.#acknowledgements = acknowledgements
  }

  /**
   * PUBLISH.
   * @returns null, or what has to have room first, the log's chain or a subscriber's queue: then nothing was done, and the frame is to be handed
   *          over again
   * @throws MqttProtocolError, RefusedMessageError, HeadwaterError: the connection ends
   */
  publish(frame: Frame): Chain | Backlog | null {
    const context = this.#context
    const view = context.publishView
    readPublish(frame, this.#connect.version, view)
    const entry = this.#entryOf(view)
    if (view.qos !== 0) this.#checkReceiveMaximum(view)
    if (entry !== this.#last || this.#generation !== context.access.generation) this.#ask(entry)
    if (!this.#mayLast) {
      this.#refuse(view, Reason.notAuthorized, `may not publish to ${entry.topic}`)
      return null
    }
    const backlog = view.qos === 0 ? null : this.#heldBy(entry)
    if (backlog !== null) return backlog
    const submission = context.submission
    submission.clientId = this.#connect.clientId
    submission.topic = entry.topic
    submission.payload = view.bytes.subarray(view.payloadFrom, view.payloadTo)
    submission.qos = view.qos
    submission.packetId = view.packetId
    submission.isDup = view.isDup
    submission.headers =
      view.isRetained || !view.properties.isEmpty
        ? messageHeaders(view.isRetained, view.qos, view.messageProperties())
        : NO_HEADERS
    const { route } = entry
    if (route === null) {
      this.#passOn(view, entry, frame.to - frame.from)
      return null
    }
    const { chain } = route.stream
    if (!context.ingress.submit(route, submission)) {
      if (this.#fullChain === null || this.#fullChain !== chain || !chain.admission.isHeld) return chain
      this.#refuse(view, Reason.quotaExceeded, 'the disk is full')
      return null
    }
    context.ingress.received(submission.payload.length, true)
    this.#admitted(view, entry)
    return null
  }

  #heldBy(entry: TopicEntry): Backlog | null {
    const pressures = entry.pressures(this.#context.hub)
    for (let i = 0; i < pressures.length; i++) {
      const backlog = pressures[i]!.holds(this.#pressure.own)
      if (backlog !== null) return backlog
    }
    return null
  }

  /** The chain that `publish` returned had no room for too long. */
  refuseFull(frame: Frame, chain: Chain, error: Error): void {
    if (this.#connect.version !== 5) throw error
    const view = this.#context.publishView
    readPublish(frame, this.#connect.version, view)
    this.#fullChain = chain
    this.#context.ingress.received(view.payloadTo - view.payloadFrom, true)
    this.#refuse(view, Reason.quotaExceeded, error.message)
  }

  /** PUBREL: PUBCOMP leaves once the release of the id is on disk. @throws LogUnavailableError */
  pubrel(packetId: number): void {
    const { ingress, commits } = this.#context
    const endsFlow = this.#qos2?.delete(packetId) === true
    const chains = ingress.releaseIn(this.#connect.clientId, packetId)
    const isKnown = endsFlow || chains.length > 0
    const reasonCode = isKnown ? Reason.success : Reason.packetIdNotFound
    const answer = (awaited: Awaited | null) =>
      this.#acknowledgements.add(Answer.pubcomp, packetId, reasonCode, endsFlow, awaited)
    if (chains.length <= 1) answer(chains.length === 0 ? null : commits.of(chains[0]))
    else answer(allOf(chains.map((chain) => (done) => chain.onCommit(done))))
  }

  #admitted(view: PublishView, entry: TopicEntry): void {
    this.messages++
    const { hub, commits, submission } = this.#context
    const { qos } = view
    const isPassedOn = submission.delta >= 0 && (view.isRetained || entry.hasTakers(hub))
    if (qos === 0 && !isPassedOn) return
    const commit = commits.of(submission.chain as Chain)
    if (isPassedOn) {
      const message = this.#messageOf(view, entry)
      commit.messages.push(message)
      if (qos !== 0) message.expected(entry.pressures(hub))
      if (commit.isCrowded) this.#pressure.crowded(commit)
    }
    this.#acknowledge(view, Reason.success, submission.delta < 0, commit)
  }

  /** On a topic that no stream takes. */
  #passOn(view: PublishView, entry: TopicEntry, bytes: number): void {
    this.messages++
    const { hub, ingress, commits, submission, sessions } = this.#context
    ingress.received(submission.payload.length, false)
    const isAgain = view.qos === 2 && ingress.remember(submission)
    const id = view.qos === 2 ? commits.of(submission.chain as Chain) : null
    const isTaken = view.isRetained || entry.hasTakers(hub)
    if (isAgain || !isTaken) {
      this.#acknowledge(view, isTaken ? Reason.success : Reason.noMatchingSubscribers, isAgain, id)
      return
    }
    const stored = sessions.storeInline(this.#messageOf(view, entry))
    this.#storing(bytes, stored)
    const parts: ((done: (error: Error | null) => void) => void)[] = [
      (done) => {
        stored.then(() => done(null), done)
      },
    ]
    if (id !== null) parts.push((done) => id.chain.onCommit(done))
    this.#acknowledge(view, Reason.success, false, allOf(parts))
  }

  /** A disk that is slow must not fill memory with what waits for it. */
  #storing(bytes: number, stored: Promise<void>): void {
    const size = bytes + MESSAGE_BYTES
    this.#storingBytes += size
    if (this.#storingBytes >= STORING_BYTES_MAX) this.#pressure.storing(true)
    const settled = () => {
      const wasFull = this.#storingBytes >= STORING_BYTES_MAX
      this.#storingBytes -= size
      if (wasFull && this.#storingBytes < STORING_BYTES_MAX) this.#pressure.storing(false)
    }
    stored.then(settled, settled)
  }

  #messageOf(view: PublishView, entry: TopicEntry): CommittedMessage {
    const { submission, now } = this.#context
    let properties = view.properties.isEmpty ? null : view.messageProperties()
    const { correlationData } = properties ?? {}
    if (correlationData !== undefined) {
      properties = { ...properties, correlationData: Buffer.from(correlationData) }
    }
    const payload = Buffer.from(submission.payload)
    const message = new CommittedMessage(entry.topic, payload, view.qos, view.isRetained)
    message.properties = properties
    message.timestamp = now()
    message.clientId = this.#connect.clientId
    message.partition = submission.partition
    message.delta = submission.delta
    return message
  }

  #acknowledge(view: PublishView, reasonCode: number, isAgain: boolean, awaited: Awaited | null): void {
    const { qos, packetId } = view
    if (qos === 0) return
    const queue = this.#acknowledgements
    if (qos === 1) {
      queue.inFlight++
      queue.add(Answer.puback, packetId, reasonCode, true, awaited)
      return
    }
    this.#qos2 ??= new Map()
    const before = this.#qos2.get(packetId) ?? 0
    if (before === 0) queue.inFlight++
    const times = !isAgain ? 1 : view.isDup ? before : before + 1
    // once more can be a client that has lost its state; what goes on does not know its ids
    if (times > WITHOUT_DUP_MAX)
      throw violation('MQTT-3.3.1-1', `packet identifier ${packetId} comes again and again without DUP`)
    this.#qos2.set(packetId, times)
    queue.add(Answer.pubrec, packetId, reasonCode, false, awaited)
  }

  /** MQTT 5 says so where there is an acknowledgement that can; MQTT 3 has no other way than to end the connection. */
  #refuse(view: PublishView, reasonCode: ReasonCode, text: string): void {
    const { counters, limited } = this.#context
    const { version, requestsProblemInformation, maximumPacketBytes } = this.#connect
    counters.refusedMessages++
    if (reasonCode === Reason.quotaExceeded) counters.fullMessages++
    if (version !== 5) throw new RefusedMessageError(reasonCode, text)
    limited.warn(`refused ${reasonCode}`, 'refused a message', { ...this.#who, reason: text })
    const { qos, packetId } = view
    if (qos === 0) return
    const queue = this.#acknowledgements
    if (qos === 1 || this.#qos2?.delete(packetId) !== true) queue.inFlight++
    const why = { reasonString: text, packetBytesMax: maximumPacketBytes }
    const encode = qos === 1 ? encodePuback : encodePubrec
    if (requestsProblemInformation) queue.addPacket(encode(version, packetId, reasonCode, why))
    else queue.add(qos === 1 ? Answer.puback : Answer.pubrec, packetId, reasonCode, true, null)
  }

  #checkReceiveMaximum({ qos, packetId }: PublishView): void {
    const { receiveMaximum } = this.#context.limits
    if (this.#connect.version !== 5 || this.#acknowledgements.inFlight < receiveMaximum) return
    if (qos === 2 && this.#qos2?.has(packetId)) return
    throw new MqttProtocolError(
      Reason.receiveMaximumExceeded,
      'MQTT-3.3.4-9',
      `more than ${receiveMaximum} messages that were not acknowledged`,
    )
  }

  #entryOf(view: PublishView): TopicEntry {
    const { bytes, topicFrom, topicTo, topicAlias } = view
    if (topicAlias !== 0) return this.#entryOfAlias(view)
    if (this.#last?.isAt(bytes, topicFrom, topicTo)) return this.#last
    return this.#context.topics.find(bytes, topicFrom, topicTo)
  }

  #entryOfAlias({ bytes, topicFrom, topicTo, topicAlias }: PublishView): TopicEntry {
    const { topicAliasMaximum } = this.#context.limits
    if (topicAlias > topicAliasMaximum) {
      const text = `topic alias ${topicAlias}, the maximum is ${topicAliasMaximum}`
      throw new MqttProtocolError(Reason.invalidTopicAlias, 'MQTT-3.3.2-9', text)
    }
    if (topicFrom === topicTo) {
      const known = this.#aliases?.[topicAlias]
      if (known === undefined)
        throw violation('section 3.3.4', `topic alias ${topicAlias} stands for nothing`)
      return known
    }
    const entry = this.#context.topics.find(bytes, topicFrom, topicTo)
    this.#aliases ??= []
    this.#aliases[topicAlias] = entry
    return entry
  }

  #ask(entry: TopicEntry): void {
    const { access } = this.#context
    if (this.#generation !== access.generation) {
      this.#generation = access.generation
      this.#verdicts = null
    }
    const known = this.#verdicts?.get(entry)
    this.#last = entry
    if (known !== undefined) {
      this.#mayLast = known
      return
    }
    this.#mayLast = !entry.isReserved && access.mayPublish(this.#principal, entry.topic)
    if (this.#verdicts === null || this.#verdictCount >= VERDICTS_MAX) {
      this.#verdicts = new WeakMap()
      this.#verdictCount = 0
    }
    this.#verdicts.set(entry, this.#mayLast)
    this.#verdictCount++
  }
}

/** Settles its runs when all parts are done, with the first error. */
function allOf(parts: readonly ((done: (error: Error | null) => void) => void)[]): Awaited {
  const awaited: Awaited = { runs: [] }
  let left = parts.length
  let failure: Error | null = null
  for (const part of parts) {
    part((error) => {
      failure ??= error
      if (--left === 0) for (const run of awaited.runs) run.settle(failure)
    })
  }
  return awaited
}
