/** A device as firmware has it: one message in flight, repeated with DUP until it is answered; it sleeps, is reset, and forgets. */
import { decodePacket } from '../../../firmware-bridge/packets/decoder.ts'
import { encodePacket } from '../../../firmware-bridge/packets/encoder.ts'
import { type Packet, type Publish, Type } from '../../../firmware-bridge/packets/packet.ts'
import type { Random } from '../../support/random.ts'
import type { FakeClock } from './fakes.ts'
import { connect, disconnect, ping, puback, register, subscribe } from './support.ts'

const RETRY_MS = 300
/** Repetitions after which it connects anew. */
const TRIES_MAX = 8

/** What it waits for. */
type Waiting =
  | { readonly kind: 'connack' | 'suback' | 'regack' | 'asleep' | 'pingresp' | 'sleeping' }
  | { readonly kind: 'publish' | 'release'; readonly message: Publish }
  | { readonly kind: 'nothing' }

export class SimDevice {
  readonly clientId: string
  /** Connects with CleanSession after a reset, and is promised less. */
  readonly isClean: boolean
  /** Known to the test alone: no reset forgets them. */
  readonly acknowledged: string[] = []
  readonly received = new Set<string>()
  resets = 0
  sleeps = 0
  #sent = 0
  readonly #clock: FakeClock
  readonly #random: Random
  readonly #send: (bytes: Buffer) => void
  // In its memory:
  #waiting: Waiting = { kind: 'nothing' }
  #asked: Packet | null = null
  #tries = 0
  #messageId = 0
  #pending: Publish | null = null
  #topicId = 0
  #topics = new Map<number, string>()
  #isNew = true
  #cancel: () => void = () => {}
  #isOff = false
  #wantsMore = true

  constructor(
    clientId: string,
    isClean: boolean,
    clock: FakeClock,
    random: Random,
    send: (bytes: Buffer) => void,
  ) {
    this.clientId = clientId
    this.isClean = isClean
    this.#clock = clock
    this.#random = random
    this.#send = send
  }

  get isIdle(): boolean {
    return this.#waiting.kind === 'nothing' && this.#pending === null
  }

  start(): void {
    this.#connect()
  }

  /** No new messages: what it has begun it ends. */
  finish(): void {
    this.#wantsMore = false
  }

  /** Taken away for good. */
  vanish(): void {
    this.#isOff = true
    this.#cancel()
  }

  /** Power was off for a moment. */
  reset(): void {
    this.resets++
    this.#messageId = 0
    this.#pending = null
    this.#topicId = 0
    this.#topics = new Map()
    this.#isNew = true
    this.#connect()
  }

  receive(bytes: Buffer): void {
    const packet = decodePacket(bytes)
    if (packet.type === 'malformed') throw new Error(`${packet.reason}: ${bytes.toString('hex')}`)
    // Its radio is off.
    if (this.#isOff || this.#waiting.kind === 'sleeping') return
    switch (packet.type) {
      case Type.publish:
        this.#onPublish(packet)
        return
      case Type.register:
        this.#topics.set(packet.topicId, packet.topicName)
        this.#post({ type: Type.regack, topicId: packet.topicId, messageId: packet.messageId, returnCode: 0 })
        return
      case Type.pubrel:
        this.#post({ type: Type.pubcomp, messageId: packet.messageId })
        return
      case Type.disconnect:
        if (this.#waiting.kind === 'asleep') this.#sleep()
        else this.#connect()
        return
      default:
        this.#onAnswer(packet)
    }
  }

  #onAnswer(packet: Packet): void {
    const { kind } = this.#waiting
    switch (packet.type) {
      case Type.connack:
        if (kind !== 'connack') return
        if (packet.returnCode === 0) this.#onConnected()
        else this.#later(() => this.#connect())
        return
      case Type.suback:
        if (kind !== 'suback' || !this.#isFor(packet.messageId)) return
        if (packet.returnCode === 0) this.#ask('regack', register(`up/${this.clientId}`, this.#next()))
        else this.#later(() => this.#repeat())
        return
      case Type.regack:
        if (kind !== 'regack' || !this.#isFor(packet.messageId)) return
        this.#topicId = packet.topicId
        this.#idle()
        return
      case Type.puback:
        if (this.#waiting.kind === 'publish' && this.#isFor(packet.messageId)) {
          this.#onPuback(this.#waiting.message, packet.returnCode)
        }
        return
      case Type.pubrec:
        if (this.#waiting.kind === 'publish' && this.#isFor(packet.messageId))
          this.#onPubrec(this.#waiting.message)
        return
      case Type.pubcomp:
        if (kind === 'release' && this.#isFor(packet.messageId)) this.#idle()
        return
      case Type.pingResponse:
        if (kind === 'pingresp') this.#sleep()
        return
    }
  }

  #onConnected(): void {
    const isNew = this.#isNew
    this.#isNew = false
    if (isNew) this.#ask('suback', subscribe('down/#', { messageId: this.#next(), qos: 2 }))
    else this.#ask('regack', register(`up/${this.clientId}`, this.#next()))
  }

  #onPuback(message: Publish, returnCode: number): void {
    if (returnCode === 0) {
      this.#onAccepted(message)
      this.#idle()
    } else if (returnCode === 1) {
      this.#pause()
      this.#later(() => this.#publish({ ...message, isDup: true }))
    } else {
      this.#pending = message
      this.#ask('regack', register(`up/${this.clientId}`, this.#next()))
    }
  }

  #onPubrec(message: Publish): void {
    this.#onAccepted(message)
    this.#ask('release', { type: Type.pubrel, messageId: message.messageId }, message)
  }

  #onAccepted(message: Publish): void {
    this.#pending = null
    this.acknowledged.push(Buffer.from(message.data).toString())
  }

  #onPublish({ qos, messageId, topicId, topicIdType, data }: Publish): void {
    if (topicIdType === 'normal' && !this.#topics.has(topicId)) {
      this.#post(puback(messageId, 2, topicId))
      return
    }
    this.received.add(Buffer.from(data).toString())
    if (qos === 1) this.#post(puback(messageId, 0, topicId))
    if (qos === 2) this.#post({ type: Type.pubrec, messageId })
  }

  #connect(): void {
    this.#ask(
      'connack',
      connect({ clientId: this.clientId, isClean: this.#isNew && this.isClean, duration: 20 }),
    )
  }

  /** The next thing that it does by itself. */
  #idle(): void {
    this.#pause()
    if (this.#pending !== null) {
      this.#publish({ ...this.#pending, isDup: true })
      return
    }
    this.#cancel = this.#clock.after(this.#random.between(1, 400), () => {
      if (!this.#wantsMore) {
        // It stays within its keep alive.
        this.#post(ping())
        this.#idle()
      } else if (this.#random.next() < 0.1) this.#ask('asleep', disconnect(10))
      else this.#publishNew()
    })
  }

  #publishNew(): void {
    this.#publish({
      type: Type.publish,
      isDup: false,
      qos: this.#random.next() < 0.3 ? 2 : 1,
      isRetained: false,
      topicIdType: 'normal',
      topicId: this.#topicId,
      messageId: this.#next(),
      data: Buffer.from(`${this.clientId} ${this.#sent++}`),
    })
  }

  #publish(message: Publish): void {
    this.#pending = { ...message, topicId: this.#topicId }
    this.#ask('publish', this.#pending, this.#pending)
  }

  #sleep(): void {
    this.#pause()
    this.sleeps++
    this.#waiting = { kind: 'sleeping' }
    this.#cancel = this.#clock.after(this.#random.between(500, 4_000), () => {
      if (this.#random.next() < 0.5 && this.#wantsMore) this.#ask('pingresp', ping(this.clientId))
      else this.#connect()
    })
  }

  #ask(
    kind: Exclude<Waiting['kind'], 'nothing' | 'sleeping'>,
    packet: Packet,
    message: Publish | null = null,
  ): void {
    this.#cancel()
    this.#waiting = (message === null ? { kind } : { kind, message }) as Waiting
    this.#asked = packet
    this.#tries = 0
    this.#transmit()
  }

  #transmit(): void {
    if (this.#isOff) return
    this.#post(this.#asked!)
    this.#cancel = this.#clock.after(RETRY_MS + this.#random.between(0, 50), () => this.#repeat())
  }

  #repeat(): void {
    const asked = this.#asked!
    if (++this.#tries > TRIES_MAX) {
      this.#connect()
      return
    }
    if (asked.type === Type.publish) this.#asked = { ...asked, isDup: true }
    this.#transmit()
  }

  #later(act: () => void): void {
    this.#cancel()
    this.#cancel = this.#clock.after(this.#random.between(200, 500), act)
  }

  #pause(): void {
    this.#cancel()
    this.#waiting = { kind: 'nothing' }
    this.#asked = null
  }

  #isFor(messageId: number): boolean {
    const asked = this.#asked
    return asked !== null && 'messageId' in asked && asked.messageId === messageId
  }

  #next(): number {
    this.#messageId = (this.#messageId % 0xffff) + 1
    return this.#messageId
  }

  #post(packet: Packet): void {
    if (!this.#isOff) this.#send(encodePacket(packet))
  }
}
