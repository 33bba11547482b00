/** A connection as its session sees it: where packets to the client go. */
import type { Message } from '../hub/message.ts'
import type { ProtocolVersion, QoS } from '../packets/packet.ts'
import type { ReasonCode } from '../packets/protocol-error.ts'

/** How one message goes to one client. */
export interface Delivery {
  /** 0 with QoS 0. */
  readonly packetId: number
  readonly qos: QoS
  readonly isDup: boolean
  /** The RETAIN flag to send. */
  readonly isRetained: boolean
  readonly identifiers: readonly number[]
}

/**
 * None of these may throw, and none may call its session before it returns. `properties.messageExpiry` is what is left of it; the size
 * has been found to fit `maximumPacketBytes` without a topic alias.
 */
export interface Outgoing {
  readonly version: ProtocolVersion
  /** The address of its other side, for log lines. */
  readonly from: string
  /** What the client allows in flight. */
  readonly receiveMaximum: number
  /** What the client takes, or null. */
  readonly maximumPacketBytes: number | null
  /** False: not taken, because the buffer is full. The session offers it again when its `pump()` is called. */
  publish(message: Message, delivery: Delivery): boolean
  /** The same. */
  pubrel(packetId: number): boolean
  /** The session wants the connection closed, and counts it as lost: what the connection still calls of its `Session` does nothing. */
  close(reason: ReasonCode, text: string): void
}
