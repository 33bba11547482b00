/**
 * mqtt.js' store of what is not acknowledged yet, over all connections of one session. mqtt.js puts PUBLISH in before it sends it, PUBREL
 * in its place before it sends that, and sends what is in it again, one after another, before it says that it is connected.
 */
import { Store } from './mqtt-parts.ts'
import type { Suspected } from './suspicion.ts'

type Packet = Parameters<InstanceType<typeof Store>['put']>[0]
type Put = Parameters<InstanceType<typeof Store>['put']>[1]
type Del = Parameters<InstanceType<typeof Store>['del']>[1]

export interface OutgoingListener {
  /** PUBREC has come: PUBREL leaves once this resolves; if it rejects, none does. */
  onReceived(packetId: number): Promise<void>
  /** The exchange is over: PUBCOMP, PUBACK, or a reason code that ends it. */
  onFinished(packetId: number, wasReleased: boolean): void
}

export class OutgoingPackets extends Store {
  readonly #listener: OutgoingListener
  readonly #packets = new Map<number, Packet>()
  /** PUBRELs that leave with the next connection; of this one they are nothing. A packet id each, so 65,535 at the most. */
  readonly #owed = new Set<number>()
  #first: { readonly packet: Packet; readonly suspected: Suspected } | null = null

  constructor(listener: OutgoingListener) {
    super({ clean: false })
    this.#listener = listener
  }

  /** What counts towards the broker's receive maximum on this connection. */
  get size(): number {
    return this.#packets.size
  }

  /** Of an earlier process, or of a message that was given up: sent when the next connection begins. */
  owePubrel(packetId: number): void {
    this.#owed.add(packetId)
  }

  /** What the next connection sends first, if that is a message. */
  firstUnanswered(): Suspected | null {
    const first = this.#packets.values().next().value
    if (first?.cmd !== 'publish' || this.#owed.size > 0) return null
    if (this.#first?.packet !== first) {
      const { messageId, topic, payload } = first
      const suspected = { packetId: messageId!, topic, bytes: Buffer.byteLength(payload) }
      this.#first = { packet: first, suspected }
    }
    return this.#first.suspected
  }

  /** It is never sent again. The broker may have it all the same: its id is let go first when the next connection begins. */
  giveUp(packetId: number): void {
    this.del({ messageId: packetId }, () => {})
    this.#owed.add(packetId)
  }

  /** Of a session that has ended nothing is sent again. */
  clear(): void {
    for (const packetId of this.#packets.keys()) super.del({ messageId: packetId }, () => {})
    this.#packets.clear()
    this.#owed.clear()
  }

  override put(packet: Packet, done: Put): this {
    if (packet.cmd !== 'pubrel') {
      this.#keep(packet)
      done()
      return this
    }
    this.#listener.onReceived(packet.messageId!).then(
      () => {
        this.#keep(packet)
        done()
      },
      (error: Error) => done(error),
    )
    return this
  }

  #keep(packet: Packet): void {
    this.#packets.set(packet.messageId!, packet)
    super.put(packet, () => {})
  }

  override createStream(): ReturnType<InstanceType<typeof Store>['createStream']> {
    for (const messageId of this.#owed) {
      this.#keep({ cmd: 'pubrel', qos: 2, messageId } as unknown as Packet)
    }
    this.#owed.clear()
    for (const packet of this.#packets.values()) {
      // mqtt.js leaves it as it was sent first (MQTT 5.0 section 3.3.1.1)
      if (packet.cmd === 'publish') packet.dup = true
    }
    return super.createStream()
  }

  override del(packet: Pick<Packet, 'messageId'>, done: Del): this {
    const kept = this.#packets.get(packet.messageId!)
    this.#packets.delete(packet.messageId!)
    super.del(packet, done)
    if (kept !== undefined) this.#listener.onFinished(packet.messageId!, kept.cmd === 'pubrel')
    return this
  }
}
