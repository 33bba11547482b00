/**
 * One client's connection, from its first byte to its last: MQTT 3.1, 3.1.1 and 5.
 *
 *     greeting   nothing but a CONNECT is taken, and it has to be whole in time
 *     admitting  the CONNECT is looked into; nothing more is read
 *     open       packets are handled in their order
 *     closing    what is left is written; what comes is not looked at
 *     closed
 */
import type { Duplex } from 'node:stream'
import { HeadwaterError } from '../../errors.ts'
import { Backlog } from '../hub/backlog.ts'
import { readAcknowledgement } from '../packets/acknowledgement-view.ts'
import { encodeDisconnect, encodePingresp, encodePubrel } from '../packets/answers.ts'
import { encodeConnack } from '../packets/connack.ts'
import { decodeConnect } from '../packets/connect-decoder.ts'
import { type Frame, PacketType } from '../packets/frame-scanner.ts'
import type { Connect, Disconnect } from '../packets/packet.ts'
import { decodePacket } from '../packets/packet-decoder.ts'
import { MqttProtocolError, Reason, type ReasonCode, violation } from '../packets/protocol-error.ts'
import type { Session } from '../session/session.ts'
import { ANONYMOUS, type Who } from '../who.ts'
import type { PeerInfo } from './access.ts'
import { type AcknowledgementOwner, Acknowledgements } from './acknowledgements.ts'
import { type ClientStatus, clientStatus, type OpenClient } from './client-status.ts'
import { closingReason, isOwnFault, kindOf } from './closing.ts'
import type { ConnectionContext } from './context.ts'
import { ClientDelivery } from './delivery.ts'
import { Block, type FrameHandler, FrameReader } from './frame-reader.ts'
import { type Admitted, admit, type Refused } from './handshake.ts'
import { Incoming } from './incoming.ts'
import { Outbox } from './outbox.ts'
import { PublisherWaits } from './publisher-waits.ts'
import { Subscribing } from './subscribing.ts'
import type { Holder } from './takeovers.ts'
import { keepAliveTicks, TICK_MS, TICKS_PER_SECOND, type Timed } from './timer-wheel.ts'

type State = 'greeting' | 'admitting' | 'open' | 'closing' | 'closed'

/** After a DISCONNECT the client has this long to end the connection: ending it first could lose the DISCONNECT on the way. */
const LINGER_TICKS = 2 * TICKS_PER_SECOND
export class Connection implements Timed, AcknowledgementOwner, FrameHandler {
  readonly peer: PeerInfo
  readonly #stream: Duplex
  readonly #context: ConnectionContext
  readonly #onClosed: (connection: Connection) => void
  readonly #reader: FrameReader
  readonly #outbox: Outbox
  #state: State = 'greeting'
  /** It asks to be let in. */
  #asking: Connect | null = null
  #open: OpenClient | null = null
  #session: Session | null = null
  /** The tick of the last whole packet. */
  #heardAt = 0
  #heardBytes = 0

  constructor(
    stream: Duplex,
    peer: PeerInfo,
    context: ConnectionContext,
    onClosed: (connection: Connection) => void,
  ) {
    const { limits, wheel, pool } = context
    this.peer = peer
    this.#stream = stream
    this.#context = context
    this.#onClosed = onClosed
    this.#outbox = new Outbox(stream, pool, limits.outboxBytesMax)
    this.#outbox.onRoom = () => this.#hasRoom()
    this.#reader = new FrameReader(stream, limits.packetBytesMax, context.readers, this)
    stream.on('error', () => {})
    stream.on('close', () => this.#ended())
    wheel.set(this, limits.connectSecondsMax * TICKS_PER_SECOND)
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** null where no client has logged in on it. */
  get clientId(): string | null {
    return this.#open?.connect.clientId ?? null
  }

  status(): ClientStatus | null {
    if (this.#open === null || this.#state !== 'open') return null
    const { wheel, now } = this.#context
    const heard = { at: now() - (wheel.now - this.#heardAt) * TICK_MS, bytes: this.#heardBytes }
    return clientStatus(this.peer, this.#open, this.#session, this.#outbox, heard)
  }

  /** Tells the client why, where its version can, and ends the connection. Its will is published. */
  close(reasonCode: ReasonCode, text: string): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    const { connect } = this.#open ?? {}
    if (connect !== undefined && this.#state === 'open') {
      const why = connect.requestsProblemInformation
        ? { reasonString: text, packetBytesMax: connect.maximumPacketBytes }
        : {}
      const packet = encodeDisconnect(connect.version, reasonCode, why)
      if (packet !== null) this.#outbox.write(packet)
    }
    this.#session?.disconnect('lost', null)
    this.#end()
  }

  /** The rules have changed: who would not be let in any more has to go, and so has what is not allowed any more. */
  review(): void {
    if (this.#open === null || this.#state !== 'open') return
    const { access } = this.#context
    const { principal, connect } = this.#open
    if (access.knows(principal, this.peer)) {
      const { will } = connect
      if (will !== null && !access.mayPublish(principal, will.topic)) this.#session?.dropWill()
      this.#open.subscribing.endForbidden()
      return
    }
    const text = 'it is not let in any more'
    this.#context.counters.dropped++
    this.#log(text, text)
    this.#session?.dropWill()
    this.close(Reason.notAuthorized, text)
  }

  /** Of the wheel: a time limit may be over. */
  due(now: number): number {
    if (this.#state === 'closing' || this.#state === 'closed') {
      this.#stream.destroy()
      return 0
    }
    if (this.#open === null) {
      this.#drop(new MqttProtocolError(Reason.keepAliveTimeout, 'section 3.1.4', 'no CONNECT in time'))
      this.#stream.destroy()
      return 0
    }
    // its packets may be there, unread
    if (this.#reader.isHeldUp) this.#heardAt = now
    const left = this.#heardAt + keepAliveTicks(this.#open.connect.keepAliveSeconds) - now
    if (left > 0) return left
    const { keepAliveSeconds } = this.#open.connect
    const text = `nothing was heard for one and a half times its keep alive of ${keepAliveSeconds} s`
    this.#drop(new MqttProtocolError(Reason.keepAliveTimeout, 'MQTT-3.1.2-22', text))
    return LINGER_TICKS
  }

  /** Of the acknowledgements. */
  commitFailed(error: Error, count: number): void {
    this.#context.ingress.failed(count)
    this.#drop(error)
  }

  // -- of the reader -------------------------------------------------------------------------------------------------

  handle(frame: Frame): void {
    const open = this.#open
    if (open === null) {
      this.#greet(frame)
      return
    }
    const type = frame.first >> 4
    if (type === PacketType.publish) {
      const full = open.incoming.publish(frame)
      if (full instanceof Backlog) open.waits.forSubscriber(full, frame)
      else if (full !== null) open.waits.forLog(full, frame, this.#context.ingress, open.incoming)
      return
    }
    if (type >= PacketType.puback && type <= PacketType.pubcomp) this.#acknowledged(frame, open)
    else this.#handleOther(frame, open)
  }

  failed(error: Error): void {
    this.#drop(error)
  }

  handled(packets: number, bytes: number, weight: number): void {
    const { counters, wheel } = this.#context
    counters.receivedPackets += packets
    // frames come without their fixed header, which has 2 bytes but for long packets
    counters.receivedBytes += bytes + 2 * packets
    this.#heardBytes += bytes + 2 * packets
    this.#heardAt = wheel.now
    if (this.#open === null || this.#state !== 'open') return
    this.#reader.rest(this.#open.quota.charge(weight, bytes))
    if (this.#outbox.isFull) this.#reader.block(Block.outbox)
  }

  progressed(): void {
    this.#heardAt = this.#context.wheel.now
  }

  /** Whoever is not let in yet may be anybody, whatever name he asks to be let in by. */
  get holder(): Holder {
    const { address, identity: user } = this.peer
    return this.#open?.holder ?? { user, address }
  }

  #hasRoom(): void {
    this.#reader.unblock(Block.outbox)
    if (this.#state === 'open') this.#session?.pump()
  }

  // -- packets -------------------------------------------------------------------------------------------------------

  #handleOther(frame: Frame, { connect, subscribing }: OpenClient): void {
    const packet = decodePacket(frame, connect.version, this.#context.limits)
    switch (packet.type) {
      case 'pingreq':
        this.#outbox.write(encodePingresp())
        return
      case 'subscribe':
        this.#reader.weigh(packet.subscriptions.length - 1)
        subscribing.subscribe(packet)
        return
      case 'unsubscribe':
        subscribing.unsubscribe(packet)
        return
      case 'disconnect':
        this.#disconnect(packet, connect)
        return
      case 'auth':
        throw violation('MQTT-4.12.0-6', 'an AUTH on a connection without an authentication method')
      default:
        throw violation('section 2.1.2', `a ${packet.type} where none is expected`)
    }
  }

  #acknowledged(frame: Frame, open: OpenClient): void {
    const view = this.#context.acknowledgementView
    readAcknowledgement(frame, open.connect.version, view)
    const { packetId, reasonCode } = view
    const session = this.#session as Session
    if (view.type === PacketType.pubrel) open.incoming.pubrel(packetId)
    else if (view.type === PacketType.puback) session.puback(packetId, reasonCode)
    else if (view.type === PacketType.pubcomp) session.pubcomp(packetId, reasonCode)
    else if (!session.pubrec(packetId, reasonCode) && reasonCode < Reason.unspecified)
      this.#answerUnknown(packetId, open)
  }

  #greet(frame: Frame): void {
    let connect: Connect
    try {
      connect = decodeConnect(frame, this.#context.limits)
    } catch (error) {
      if (error instanceof MqttProtocolError && error.answerVersion != null) {
        const { reasonCode, answerVersion } = error
        const packet = encodeConnack(answerVersion, false, reasonCode, { reasonString: error.message })
        if (packet !== null) this.#outbox.write(packet)
      }
      throw error
    }
    this.#state = 'admitting'
    this.#asking = connect
    this.#reader.block(Block.admitting)
    // its CONNECT was whole in time; what it waits for now is not its doing
    this.#context.wheel.clear(this)
    const close = (reasonCode: ReasonCode, text: string) => this.#closeBySession(reasonCode, text)
    const { encoders, limits } = this.#context
    const outgoingOf = (granted: Connect) =>
      new ClientDelivery(granted, this.peer.address, this.#outbox, encoders, limits.topicAliasMaximum, close)
    admit(this.#context, connect, this.peer, outgoingOf, () => this.#state === 'admitting')
      .then((answer) => {
        if (answer.kind === 'admitted') this.#admitted(answer)
        else this.#refused(connect, answer)
      })
      .catch((error) => this.#drop(error))
  }

  #admitted({ connect, principal, session, isPresent, properties }: Admitted): void {
    if (this.#state !== 'admitting') {
      session.disconnect('lost', null)
      return
    }
    const context = this.#context
    const acknowledgements = new Acknowledgements(connect.version, this.#outbox, this)
    const { clientId } = connect
    const from = this.peer.address
    const who = { client: clientId, from, user: principal.name ?? ANONYMOUS }
    const drop = (error: Error) => this.#drop(error)
    const waits = new PublisherWaits(session, this.#reader, drop)
    const incoming = new Incoming(context, connect, principal, who, acknowledgements, waits)
    const own = { connect, principal, who, session, reader: this.#reader, outbox: this.#outbox, drop }
    const subscribing = new Subscribing(context, own)
    const quota = context.quotas.quotaOf(principal, this.peer)
    const holder = { user: principal.name, address: from }
    const since = context.now()
    const flows = { incoming, acknowledgements, waits, subscribing }
    this.#open = { connect, principal, holder, who, ...flows, quota, since }
    this.#asking = null
    context.takeovers.entered(clientId, holder)
    this.#session = session
    this.#state = 'open'
    this.#reader.belongs()
    context.counters.connected++
    const most = connect.maximumPacketBytes
    const packet = encodeConnack(connect.version, isPresent, Reason.success, properties, most)
    if (packet !== null) this.#outbox.write(packet)
    this.#heardAt = context.wheel.now
    if (connect.keepAliveSeconds > 0) context.wheel.set(this, keepAliveTicks(connect.keepAliveSeconds))
    else context.wheel.clear(this)
    // other rules may count than when its session had a connection last, or than when it was let in
    this.review()
    session.pump()
    // others of its user may have used what there is
    this.#reader.rest(quota.charge(0, 0))
    this.#reader.unblock(Block.admitting)
  }

  #refused(connect: Connect, { reasonCode, text, detail, error }: Refused): void {
    if (this.#state !== 'admitting') return
    const { counters, limited } = this.#context
    counters.refused++
    if (reasonCode === Reason.badCredentials || reasonCode === Reason.notAuthorized) counters.refusedLogins++
    limited.warn(`client ${reasonCode}`, 'refused a client', {
      ...this.#who,
      reason: error === undefined ? (detail ?? text) : `${text}: ${error.message}`,
    })
    const why = connect.requestsProblemInformation ? { reasonString: text } : {}
    const packet = encodeConnack(connect.version, false, reasonCode, why, connect.maximumPacketBytes)
    if (packet !== null) this.#outbox.write(packet)
    this.#end()
  }

  #disconnect({ reasonCode, sessionExpirySeconds }: Disconnect, connect: Connect): void {
    if (connect.sessionExpirySeconds === 0 && sessionExpirySeconds !== null && sessionExpirySeconds > 0) {
      throw violation('section 3.14.2.2.2', 'a session expiry in DISCONNECT where CONNECT had none')
    }
    this.#session?.disconnect(reasonCode === Reason.success ? 'clean' : 'with-will', sessionExpirySeconds)
    this.#end()
  }

  /** PUBREC for a message that is not in flight: PUBREL says so, and the client lets go of it. */
  #answerUnknown(packetId: number, { connect }: OpenClient): void {
    this.#outbox.write(encodePubrel(connect.version, packetId, Reason.packetIdNotFound))
  }

  // -- the end -------------------------------------------------------------------------------------------------------

  /** The session belongs to another connection now, or has ended. */
  #closeBySession(reasonCode: ReasonCode, text: string): void {
    this.#session = null
    if (reasonCode !== Reason.sessionTakenOver) this.#log(text, `closed ${reasonCode}`)
    else if (this.#open !== null) this.#context.takeovers.takenOver(this.#open.connect.clientId)
    this.close(reasonCode, text)
  }

  /** Ends the connection for a fault, of the client or here. */
  #drop(error: Error): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#context.counters.dropped++
    const text = error instanceof HeadwaterError ? error.line : error.message
    this.#log(isOwnFault(error) ? (error.stack ?? text) : text, kindOf(error))
    this.close(closingReason(error), error.message)
  }

  #log(reason: string, kind: string): void {
    this.#context.limited.warn(kind, 'dropped a connection', { ...this.#who, reason })
  }

  /** As far as it is known. */
  get #who(): Partial<Who> {
    if (this.#open !== null) return this.#open.who
    const { address: from, identity } = this.peer
    const user = identity ?? this.#asking?.username
    const named = user == null ? (this.#asking === null ? {} : { user: ANONYMOUS }) : { user }
    return { client: this.#asking?.clientId ?? '(not connected yet)', from, ...named }
  }

  /** Writes what is left, and ends the stream. */
  #end(): void {
    this.#release('closing')
    this.#outbox.end()
    this.#context.wheel.set(this, LINGER_TICKS)
  }

  #ended(): void {
    if (this.#state === 'closed') return
    this.#session?.disconnect('lost', null)
    this.#release('closed')
    this.#context.wheel.clear(this)
    this.#outbox.release()
    this.#onClosed(this)
  }

  #release(state: 'closing' | 'closed'): void {
    const isFirst = this.#state !== 'closing'
    this.#state = state
    this.#session = null
    if (!isFirst) return
    this.#reader.stop()
    if (this.#open === null) return
    const { acknowledgements, waits, subscribing, quota, connect, holder } = this.#open
    acknowledgements.close()
    waits.close()
    subscribing.close()
    quota.release()
    this.#context.takeovers.left(connect.clientId, holder)
  }
}
