/**
 * One MQTT session at the broker, over as many connections as it takes. Each connection is a client of mqtt.js of its own, which does
 * CONNECT, keep alive, SUBSCRIBE, and the exchanges that a connection before began; those that begin on it are `exchanges.ts`'. When to
 * connect, with what, and what an acknowledgement waits for is decided here. What is in mqtt.js' way and how it is gone around: DESIGN.md.
 */
import type { Writable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import type { MqttClient as Client, IConnackPacket, IPublishPacket } from 'mqtt'
import { type BridgeError, BrokerRefusedError, BrokerUnreachableError, SessionEndedError } from '../errors.ts'
import { type Attempt, attemptInTurn } from './attempt.ts'
import { type ClientParts, closed, DISCONNECT, forget, goodbye } from './client.ts'
import { type Connecting, connectOnce } from './connecting.ts'
import { type AcknowledgementKind, Exchanges } from './exchanges.ts'
import { HeldDeliveries } from './held-deliveries.ts'
import { OutgoingPackets } from './outgoing-packets.ts'
import { PacketIds } from './packet-ids.ts'
import { GIVEN_UP, isUnsupportedVersion } from './reason-codes.ts'
import type { AttemptOutcome } from './reconnects.ts'
import { Releases } from './releases.ts'
import type { OutgoingMessage, SessionOwner, SessionParts } from './session-parts.ts'
import { Subscriptions } from './subscriptions.ts'
import { type Suspected, Suspicion } from './suspicion.ts'
import type { QoS, Will } from './uplink.ts'
import { WaitingPubrels } from './waiting-pubrels.ts'
import { openWitness } from './witness.ts'

/** A connection that lasted so long was a good one: the next attempt comes without a pause. */
const STEADY_MS = 10_000
/** What is written to a connection and not read by the broker; past it nothing more is sent. */
const UNSENT_BYTES_MAX = 256 * 1024

export class BrokerSession {
  readonly clientId: string
  readonly ids = new PacketIds()
  readonly packets: OutgoingPackets
  readonly #parts: SessionParts
  readonly #owner: SessionOwner
  readonly #exchanges: Exchanges
  readonly #held: HeldDeliveries
  readonly #subscriptions: Subscriptions
  readonly #releases: Releases
  readonly #pubrels: WaitingPubrels
  readonly #reasons = new Map<number, number>()
  readonly #isKept: boolean
  readonly #connecting: Connecting
  readonly #suspicion: Suspicion
  #will: Will | null
  #client: Client | null = null
  #state: 'new' | 'down' | 'ready' | 'ended' = 'new'
  #isPresent = false
  #serverReceiveMax = 0xffff
  #serverQosMax: QoS = 2
  #readyAt = 0
  #failures = 0
  #pause: NodeJS.Timeout | null = null
  #whenReady: (() => void)[] = []

  /** @param isKept the bridge's own: it outlives refusals and whoever takes it over */
  constructor(clientId: string, will: Will | null, owner: SessionOwner, parts: SessionParts, isKept = false) {
    this.clientId = clientId
    this.#isKept = isKept
    this.#will = will
    this.#owner = owner
    this.#parts = parts
    this.packets = new OutgoingPackets({
      onReceived: (packetId) => this.#onReceived(packetId),
      onFinished: (packetId, wasReleased) => {
        const reasonCode = this.#reasons.get(packetId) ?? 0
        this.#reasons.delete(packetId)
        owner.onFinished(packetId, wasReleased, reasonCode)
      },
    })
    this.#pubrels = new WaitingPubrels(parts.pubrelTimes, (bytes) => this.#write(bytes))
    this.#exchanges = new Exchanges(this.packets, this.ids, this.#pubrels)
    this.#subscriptions = new Subscriptions(
      () => this.#client,
      () => this.#unreachable(),
      parts.log,
    )
    this.#releases = new Releases(
      (bytes) => this.#state === 'ready' && this.#write(bytes),
      () => this.#unreachable(),
    )
    this.#suspicion = new Suspicion({
      firstUnanswered: () => this.packets.firstUnanswered(),
      openWitness: () => openWitness({ ...this.#clientParts(true), clientId: parts.witnessClientId }),
      giveUp: (suspected, connections) => this.#giveUp(suspected, connections),
    })
    this.#connecting = {
      clientId,
      brokerName: parts.transport.name,
      isEnded: () => this.#state === 'ended',
      onClient: (client) => {
        this.#client = client
      },
      onAcknowledgement: (client, kind, packetId, reasonCode) => {
        const isOurs = this.#client === client && this.packets.isFirstSent(packetId)
        if (isOurs) this.#onAcknowledgement(client, kind, packetId, reasonCode)
        return isOurs
      },
      onPacket: (client, packet) => this.#onPacket(client, packet),
      onReady: (client) => {
        if (this.#client === client) this.#onReady()
      },
      onClosed: (client, end) => {
        if (this.#client === client) this.#onClosed(end)
      },
    }
    this.#held = new HeldDeliveries(
      (message) => owner.onMessage(message),
      (bytes) => this.#write(bytes),
      parts.now,
    )
  }

  get isReady(): boolean {
    return this.#state === 'ready'
  }

  /** The broker had the session when it was opened. */
  get isPresent(): boolean {
    return this.#isPresent
  }

  /** Exchanges that the broker allows at once. */
  get inFlightMax(): number {
    return this.#serverReceiveMax
  }

  /** @throws BrokerUnreachableError, BrokerRefusedError, BridgeSecretError */
  async open(isClean: boolean): Promise<void> {
    const { reconnects, transport, broker } = this.#parts
    if (reconnects.isAway) throw new BrokerUnreachableError(transport.name, 'it was away a moment ago')
    const late = new BrokerUnreachableError(transport.name, 'it did not answer in time')
    const { error } = await attemptInTurn(reconnects, broker.connectSeconds * 1500, late, async () =>
      this.#state === 'ended' ? null : this.#attempt(isClean),
    )
    if (error === null) return
    await this.end('clean', false)
    throw error
  }

  /** Goes on trying where open() gives up. */
  openWhenPossible(): void {
    this.#state = 'down'
    this.#connectAgain()
  }

  /** One connection, up to where what was in flight before has been sent again and answered. */
  async #attempt(isClean: boolean): Promise<Attempt> {
    const { protocol, log, transport } = this.#parts
    const version = protocol.version
    const made = await connectOnce(this.#clientParts(isClean), this.#connecting)
    if (made.code !== null && isUnsupportedVersion(made.code) && version === 5) {
      if (protocol.version === 5)
        log.info('the broker knows no MQTT 5: record headers are left out', { broker: transport.name })
      protocol.version = 4
      return this.#attempt(isClean)
    }
    return made
  }

  #clientParts(isClean: boolean): ClientParts {
    const { transport, broker, protocol } = this.#parts
    const { clientId, packets, ids } = this
    const version = protocol.version
    return { clientId, isClean, will: this.#will, version, transport, broker, packets, ids }
  }

  #onPacket(client: Client, packet: { cmd: string }): void {
    this.#suspicion.onPacket(packet)
    if (packet.cmd === 'connack') this.#onConnack(packet as IConnackPacket)
    else if (packet.cmd === 'publish') {
      const publish = packet as IPublishPacket
      if (!this.#held.onPublish(publish)) client.stream.destroy()
      // the handshake of QoS 2 would say that the device has it before it does: mqtt.js is to do nothing but answer PUBREL
      if (publish.qos === 2) publish.qos = 1
    } else if (packet.cmd === 'pubrec' || packet.cmd === 'puback' || packet.cmd === 'pubcomp') {
      const { messageId, reasonCode = 0 } = packet as { cmd: string; messageId: number; reasonCode?: number }
      this.#onAcknowledgement(client, packet.cmd, messageId, reasonCode)
    }
  }

  #onAcknowledgement(client: Client, kind: AcknowledgementKind, packetId: number, reasonCode: number): void {
    if (kind === 'pubcomp') this.#releases.onPubcomp(packetId)
    else if (reasonCode >= 0x80) this.#reasons.set(packetId, reasonCode)
    this.#exchanges.onAcknowledgement(kind, packetId, reasonCode, (id) => {
      if (this.#client !== client) return
      const isCrowded = 2 * this.packets.size >= this.#serverReceiveMax
      this.#pubrels.add(id, isCrowded || this.#owner.isHurried(id))
    })
  }

  get publishesOften(): boolean {
    return this.#pubrels.isOften
  }

  /** PUBRELs that wait for the next PUBLISH leave now. */
  hurry(): void {
    this.#pubrels.flush()
  }

  #onConnack({ sessionPresent, properties, returnCode, reasonCode }: IConnackPacket): void {
    if ((reasonCode ?? returnCode ?? 0) !== 0) return
    this.#serverReceiveMax = properties?.receiveMaximum ?? 0xffff
    this.#serverQosMax = (properties?.maximumQoS ?? 2) as QoS
    this.#held.onConnected(sessionPresent)
    if (this.#state === 'new') this.#isPresent = sessionPresent
    else if (!sessionPresent && this.#isPresent && !this.#isKept) {
      // subscriptions from before this process are not known here: the device makes them again
      this.#endedByBroker('the broker does not know the session any more')
    } else if (!sessionPresent) this.#subscriptions.isForgotten = true
  }

  #onReady(): void {
    this.#state = 'ready'
    this.#readyAt = this.#parts.now()
    void this.#subscriptions.makeAgain()
    this.#tellReady()
    this.#owner.onUp?.()
  }

  #tellReady(): void {
    const waiting = this.#whenReady
    this.#whenReady = []
    for (const tell of waiting) tell()
  }

  #onClosed(end: string | null): void {
    this.#client = null
    this.#releases.onDown()
    this.#pubrels.clear()
    const wasReady = this.#state === 'ready'
    if (this.#state === 'ended') return
    if (end !== null) {
      this.#endedByBroker(end)
      if (!this.#isKept) return
    }
    if (!wasReady) return
    this.#state = 'down'
    this.#failures = this.#parts.now() - this.#readyAt < STEADY_MS ? this.#failures + 1 : 0
    this.#owner.onDown()
    this.#connectAgain()
  }

  #connectAgain(): void {
    const { reconnects } = this.#parts
    const add = () => {
      this.#pause = null
      reconnects.add(() => this.#again())
    }
    if (this.#failures === 0) add()
    else this.#pause = setTimeout(add, reconnects.pauseMs(this.#failures))
  }

  async #again(): Promise<AttemptOutcome> {
    if (this.#state !== 'down') return 'dropped'
    const { outcome, error } = await this.#suspicion.watch(() => this.#attempt(false))
    // the state may have changed meanwhile
    if (error === null || (this.#state as string) === 'ended') return outcome
    this.#owner.onFailed?.(error)
    if (error instanceof BrokerRefusedError && !this.#isKept) {
      this.#endedByBroker(error.message)
      return outcome
    }
    if (outcome === 'reached') this.#failures++
    this.#tellReady()
    this.#connectAgain()
    return outcome
  }

  #giveUp({ packetId, topic, bytes }: Suspected, connections: number): void {
    const { clientId } = this
    this.#parts.log.warn('a message is given up: the broker ends the connection each time it comes', {
      clientId,
      topic,
      bytes,
      connections,
    })
    this.#reasons.set(packetId, GIVEN_UP)
    this.packets.giveUp(packetId)
    this.ids.deallocate(packetId)
    this.#owner.onGivenUp?.()
  }

  #endedByBroker(reason: string): void {
    if (this.#state === 'ended') return
    if (!this.#isKept) void this.end('clean', false)
    this.#owner.onEnded(reason)
  }

  async #onReceived(packetId: number): Promise<void> {
    const client = this.#client
    try {
      await this.#owner.onReceived(packetId)
    } catch (error) {
      // sent again on the next connection, when the disk may take it
      client?.stream.destroy()
      throw error
    }
  }

  /** What an earlier process may have left with the broker under this id. @throws BridgeError there is no connection now */
  letGo(packetId: number): Promise<void> {
    return this.#releases.letGo(packetId)
  }

  /** @returns false when the session cannot take it now */
  publish(packetId: number, message: OutgoingMessage, isDup: boolean): boolean {
    if (!this.#canSend() || this.packets.size >= this.#serverReceiveMax) return false
    if (this.ids.isUsed(packetId) || this.#releases.isLettingGo(packetId)) return false
    const qos = this.#serverQosMax
    if (qos === 0) return false
    this.#send(packetId, message, qos, isDup)
    return true
  }

  /** @returns false: dropped */
  publishAtMostOnce(message: OutgoingMessage): boolean {
    if (!this.#canSend()) return false
    this.#send(0, message, 0, false)
    return true
  }

  /** With an id of the session's own: for wills and the bridge's own messages. */
  publishOwn(message: OutgoingMessage, qos: QoS): boolean {
    if (qos === 0) return this.publishAtMostOnce(message)
    const id = this.ids.free()
    return id !== null && this.publish(id, message, false)
  }

  #canSend(): boolean {
    if (this.#state !== 'ready' || this.#client === null) return false
    const stream = this.#client.stream as unknown as Writable
    // after DISCONNECT, until the connection is gone
    return !stream.writableEnded && stream.writableLength < UNSENT_BYTES_MAX
  }

  #send(packetId: number, message: OutgoingMessage, qos: QoS, isDup: boolean): void {
    const { version } = this.#parts.protocol
    this.#client!.stream.write(this.#exchanges.publish(packetId, message, qos, isDup, version))
  }

  /** @returns null when the broker refuses it. @throws BrokerUnreachableError */
  subscribe(filter: string, qos: QoS): Promise<QoS | null> {
    return this.#subscriptions.subscribe(filter, qos)
  }

  /** @throws BrokerUnreachableError */
  unsubscribe(filter: string): Promise<void> {
    return this.#subscriptions.unsubscribe(filter)
  }

  #unreachable(): BridgeError {
    if (this.#state === 'ended') return new SessionEndedError(this.clientId, 'it was ended')
    return new BrokerUnreachableError(this.#parts.transport.name, 'there is no connection now')
  }

  /** A will stands in CONNECT alone: the session connects anew with it. Resolves when it is in force; with the broker away at once. */
  async setWill(will: Will | null): Promise<void> {
    if (isDeepStrictEqual(will, this.#will)) return
    this.#will = will
    const client = this.#client
    if (client === null || this.#state !== 'ready') return
    const ready = new Promise<void>((resolve) => this.#whenReady.push(resolve))
    // a connection that ends as it should takes the will before with it; the next one is not to wait
    this.#readyAt = Number.NEGATIVE_INFINITY
    client.stream.end(DISCONNECT)
    await ready
  }

  #write(bytes: Buffer): boolean {
    if (this.#client === null || !this.#client.connected) return false
    const stream = this.#client.stream as unknown as Writable
    if (stream.destroyed || stream.writableEnded) return false
    stream.write(bytes)
    return true
  }

  /** @param isForgotten the broker drops the session: its subscriptions and what waits for the device */
  async end(how: 'clean' | 'lost', isForgotten: boolean): Promise<void> {
    if (this.#state === 'ended') return
    const isGoodbye = this.#state === 'ready' && how === 'clean'
    const { version } = this.#parts.protocol
    if (isGoodbye) this.#pubrels.flush()
    this.#state = 'ended'
    if (this.#pause !== null) clearTimeout(this.#pause)
    const client = this.#client
    this.#client = null
    this.#releases.onDown()
    if (client !== null) await closed(client, isGoodbye ? goodbye(isForgotten, version) : null)
    // MQTT 3.1.1 ends a session by beginning it clean
    if (isGoodbye && isForgotten && version === 4) {
      this.packets.clear()
      await forget({ ...this.#clientParts(true), will: null })
    }
    this.#owner.onDown()
    this.#tellReady()
  }
}
