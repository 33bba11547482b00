/** What one connection may hold and how long it may take. Defaults; the configuration sets them. */
import { DEFAULT_PACKET_LIMITS, type PacketLimits } from '../packets/limits.ts'

export interface ConnectionLimits extends PacketLimits {
  /** From the connection's first byte on until its CONNECT is whole, seconds. */
  readonly connectSecondsMax: number
  /** A client that asks for a longer keep alive, or for none, is told this one with MQTT 5; 0: none. Seconds. */
  readonly keepAliveSecondsMax: number
  /**
   * Messages of QoS 1 and 2 that a client may send before it has their acknowledgement (MQTT 5). Each costs a few bytes here: what bounds memory
   * is that nothing is read while the log has admitted its limit. Some clients (mqtt.js 5) do not look at it: too small a number ends them.
   */
  readonly receiveMaximum: number
  /** Topic aliases that a client may use, and that the broker uses towards it. */
  readonly topicAliasMaximum: number
  /** Bytes that wait to be written; at them messages to the client stop, and nothing more is read from it. */
  readonly outboxBytesMax: number
  /** Of all connections together; at it each may have 64 KiB. */
  readonly outboxesBytesMax: number
  /** What packets take that are not whole yet, of all connections together. */
  readonly unfinishedBytesMax: number
  /** SUBSCRIBEs and UNSUBSCRIBEs of one connection that wait for the disk; at them nothing more is read from it. */
  readonly subscribesUnderWayMax: number
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  ...DEFAULT_PACKET_LIMITS,
  connectSecondsMax: 10,
  keepAliveSecondsMax: 0,
  receiveMaximum: 1_000,
  topicAliasMaximum: 32,
  outboxBytesMax: 1024 * 1024,
  outboxesBytesMax: 64 * 1024 * 1024,
  unfinishedBytesMax: 32 * 1024 * 1024,
  subscribesUnderWayMax: 16,
}
