/** What a session sends to its client: PUBLISH and PUBREL into the outbox, with topic aliases where the client takes them. */
import type { Message } from '../hub/message.ts'
import { AcknowledgementByte, writeAcknowledgement } from '../packets/answers.ts'
import type { Connect, ProtocolVersion } from '../packets/packet.ts'
import type { ReasonCode } from '../packets/protocol-error.ts'
import type { Delivery, Outgoing } from '../session/outgoing.ts'
import type { Encoders } from './context.ts'
import { Outbox } from './outbox.ts'

export class ClientDelivery implements Outgoing {
  readonly version: ProtocolVersion
  readonly receiveMaximum: number
  readonly maximumPacketBytes: number | null
  readonly #outbox: Outbox
  readonly #encoders: Encoders
  readonly #close: (reason: ReasonCode, text: string) => void

  constructor(
    connect: Connect,
    outbox: Outbox,
    encoders: Encoders,
    close: (reason: ReasonCode, text: string) => void,
  ) {
    this.version = connect.version
    this.receiveMaximum = connect.receiveMaximum
    this.maximumPacketBytes = connect.maximumPacketBytes
    this.#outbox = outbox
    this.#encoders = encoders
    this.#close = close
  }

  publish(message: Message, { packetId, qos, isDup, isRetained, identifiers }: Delivery): boolean {
    const outbox = this.#outbox
    if (outbox.isFull) return false
    const form = this.#encoders.of(message).form(this.version, qos, isRetained, identifiers)
    const expiry = message.properties?.messageExpiry ?? 0
    if (form.byteLength <= Outbox.reservedBytesMax) {
      const bytes = outbox.reserve(form.byteLength)
      outbox.at = form.write(bytes, outbox.at, packetId, isDup, expiry)
      outbox.wrote()
    } else for (const bytes of form.chunks(packetId, isDup, expiry)) outbox.write(bytes)
    return true
  }

  pubrel(packetId: number): boolean {
    const outbox = this.#outbox
    if (outbox.isFull) return false
    const bytes = outbox.reserve(5)
    outbox.at = writeAcknowledgement(bytes, outbox.at, AcknowledgementByte.pubrel, this.version, packetId, 0)
    outbox.wrote()
    return true
  }

  close(reason: ReasonCode, text: string): void {
    this.#close(reason, text)
  }
}
