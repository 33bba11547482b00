/** What a session at the broker is made of, and what it tells. */
import type { LogSink } from '../../broker/log-sink.ts'
import type { BridgeError } from '../errors.ts'
import type { BrokerConfig } from './config.ts'
import type { Reconnects } from './reconnects.ts'
import type { Transport } from './transport.ts'
import type { DownMessage } from './uplink.ts'
import type { PubrelTimes } from './waiting-pubrels.ts'

/** What all sessions of a bridge have in common. */
export interface SessionParts {
  readonly transport: Transport
  readonly broker: BrokerConfig
  /** 5 until the broker says that it knows 3.1.1 alone. */
  readonly protocol: { version: 4 | 5 }
  readonly reconnects: Reconnects
  readonly pubrelTimes: PubrelTimes
  /** Of the connection that looks whether the broker lives. */
  readonly witnessClientId: string
  readonly log: LogSink
  /** Monotonic ms. */
  readonly now: () => number
}

export interface SessionOwner {
  /** PUBREC: PUBREL leaves once this resolves. */
  onReceived(packetId: number): Promise<void>
  /** Somebody waits for PUBCOMP: PUBREL is not to wait for the next PUBLISH. */
  isHurried(packetId: number): boolean
  /** @param reasonCode of the broker; 0x80 and above refuse the message */
  onFinished(packetId: number, wasReleased: boolean, reasonCode: number): void
  onMessage(message: DownMessage): Promise<void>
  /** Connected, and what was in flight before is answered. */
  onUp?(): void
  /** The connection was lost; the session goes on by itself. */
  onDown(): void
  /** Of a session that is kept whatever the broker says: it tries again. */
  onEnded(reason: string): void
  /** A message upon which the broker ends the connection each time was given up: onFinished has been called. */
  onGivenUp?(): void
  /** Each attempt that failed after the session was opened. */
  onFailed?(error: BridgeError): void
}

export interface OutgoingMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly isRetained: boolean
  readonly properties: Readonly<Record<string, string>>
}
