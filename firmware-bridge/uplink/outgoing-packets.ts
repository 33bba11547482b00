/**
 * What is not acknowledged yet, over all connections of one session: PUBLISH, and PUBREL in its place once that may leave. It is mqtt.js' store.
 * mqtt.js sends what is in it again when a connection begins, one after another, before it says that it is connected, and does those exchanges
 * itself; what is published later is `exchanges.ts`'.
 */
import type { IPublishPacket } from 'mqtt'
import { FewEntries } from '../few-entries.ts'
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
  readonly #packets = new FewEntries<number, Packet>()
  /** Of those that mqtt.js sends again on this connection. */
  readonly #sentAgain = new Set<number>()
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
    const first = this.#packets.first()
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
    this.finish(packetId)
    this.#owed.add(packetId)
  }

  /** Of a session that has ended nothing is sent again. */
  clear(): void {
    this.#packets.clear()
    this.#sentAgain.clear()
    this.#owed.clear()
  }

  /** A message that leaves now. */
  begin(packet: IPublishPacket): void {
    this.#keep(packet)
  }

  /** On its way, by a PUBLISH that this connection sent first: mqtt.js knows nothing of it. */
  isFirstSent(packetId: number): boolean {
    return this.#packets.has(packetId) && !this.#sentAgain.has(packetId)
  }

  /** PUBREC. Resolves when PUBREL is what is to be sent, on this connection or a later one. */
  async received(packetId: number): Promise<void> {
    await this.#listener.onReceived(packetId)
    this.#keep({ cmd: 'pubrel', qos: 2, messageId: packetId } as unknown as Packet)
  }

  /** @returns what was there */
  finish(packetId: number): Packet | undefined {
    const kept = this.#packets.get(packetId)
    if (kept === undefined) return undefined
    this.#packets.delete(packetId)
    this.#sentAgain.delete(packetId)
    this.#listener.onFinished(packetId, kept.cmd === 'pubrel')
    return kept
  }

  #keep(packet: Packet): void {
    this.#packets.set(packet.messageId!, packet)
  }

  // what mqtt.js asks for

  override put(packet: Packet, done: Put): this {
    this.received(packet.messageId!).then(
      () => done(),
      (error: Error) => done(error),
    )
    return this
  }

  override createStream(): ReturnType<InstanceType<typeof Store>['createStream']> {
    for (const messageId of this.#owed) {
      this.#keep({ cmd: 'pubrel', qos: 2, messageId } as unknown as Packet)
    }
    this.#owed.clear()
    this.#sentAgain.clear()
    const packets = this.#packets.values()
    for (const packet of packets) {
      // mqtt.js leaves it as it was sent first (MQTT 5.0 section 3.3.1.1)
      if (packet.cmd === 'publish') packet.dup = true
      this.#sentAgain.add(packet.messageId!)
      super.put(packet, () => {})
    }
    const stream = super.createStream()
    // the stream has them: they are kept in one place
    for (const packet of packets) super.del(packet, () => {})
    return stream
  }

  override del(packet: Pick<Packet, 'messageId'>, done: Del): this {
    const kept = this.finish(packet.messageId!)
    done(kept === undefined ? new Error('missing packet') : undefined, kept)
    return this
  }
}
