/** What a session sends to its client: PUBLISH and PUBREL into the outbox, with topic aliases where the client takes them. */
import type { Message } from '../hub/message.ts'
import { ACKNOWLEDGEMENT_BYTES_MAX, AcknowledgementByte, writeAcknowledgement } from '../packets/answers.ts'
import type { Connect, ProtocolVersion } from '../packets/packet.ts'
import type { ReasonCode } from '../packets/protocol-error.ts'
import { PublishForm, type TopicAlias } from '../packets/publish-encoder.ts'
import type { Delivery, Outgoing } from '../session/outgoing.ts'
import type { Encoders } from './context.ts'
import { Outbox } from './outbox.ts'

/** Not worth a number: the alias alone takes three bytes. */
const ALIASED_TOPIC_LENGTH_MIN = 4

export class ClientDelivery implements Outgoing {
  readonly version: ProtocolVersion
  readonly from: string
  readonly receiveMaximum: number
  readonly maximumPacketBytes: number | null
  readonly #outbox: Outbox
  readonly #encoders: Encoders
  readonly #close: (reason: ReasonCode, text: string) => void
  readonly #aliasesMax: number
  /** Topics that have an alias on this connection; the first ones that came. */
  #aliases: Map<string, TopicAlias> | null = null

  /** @param aliasesMax of topics that get one; the client may want fewer */
  constructor(
    connect: Connect,
    from: string,
    outbox: Outbox,
    encoders: Encoders,
    aliasesMax: number,
    close: (reason: ReasonCode, text: string) => void,
  ) {
    this.version = connect.version
    this.from = from
    this.receiveMaximum = connect.receiveMaximum
    this.maximumPacketBytes = connect.maximumPacketBytes
    this.#outbox = outbox
    this.#encoders = encoders
    this.#aliasesMax = Math.min(aliasesMax, connect.topicAliasMaximum)
    this.#close = close
  }

  publish(message: Message, delivery: Delivery): boolean {
    const outbox = this.#outbox
    if (outbox.isFull) return false
    const { packetId, isDup } = delivery
    const form = this.#form(message, delivery)
    const expiry = message.properties?.messageExpiry ?? 0
    if (form.byteLength <= Outbox.reservedBytesMax) {
      const bytes = outbox.reserve(form.byteLength)
      outbox.at = form.write(bytes, outbox.at, packetId, isDup, expiry)
      outbox.wrote()
    } else {
      for (const bytes of form.chunks(packetId, isDup, expiry)) outbox.write(bytes, 0)
      outbox.wrote()
    }
    outbox.sentMessages++
    this.#encoders.sentMessages++
    return true
  }

  pubrel(packetId: number): boolean {
    const outbox = this.#outbox
    if (outbox.isFull) return false
    const bytes = outbox.reserve(ACKNOWLEDGEMENT_BYTES_MAX)
    outbox.at = writeAcknowledgement(bytes, outbox.at, AcknowledgementByte.pubrel, this.version, packetId, 0)
    outbox.wrote()
    return true
  }

  close(reason: ReasonCode, text: string): void {
    this.#close(reason, text)
  }

  #form(message: Message, { qos, isRetained, identifiers }: Delivery): PublishForm {
    if (this.#aliasesMax > 0 && message.topic.length >= ALIASED_TOPIC_LENGTH_MIN) {
      const alias = this.#aliasOf(message.topic)
      if (alias !== null) {
        const form = new PublishForm(message, true, qos, isRetained, identifiers, alias)
        if (this.maximumPacketBytes === null || form.byteLength <= this.maximumPacketBytes) {
          if (!alias.isKnown) this.#aliases?.set(message.topic, { number: alias.number, isKnown: true })
          return form
        }
      }
    }
    return this.#encoders.of(message).form(this.version, qos, isRetained, identifiers)
  }

  #aliasOf(topic: string): TopicAlias | null {
    this.#aliases ??= new Map()
    const known = this.#aliases.get(topic)
    if (known !== undefined) return known
    if (this.#aliases.size >= this.#aliasesMax) return null
    return { number: this.#aliases.size + 1, isKnown: false }
  }
}
