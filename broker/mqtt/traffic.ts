/** What came and went over MQTT since the start. */
export interface Traffic {
  /** Connections, and those that were refused or dropped with a reason. */
  readonly connected: number
  readonly refused: number
  readonly dropped: number
  /** Those refused for who they are, or say they are. */
  readonly refusedLogins: number
  /** PUBLISHes that were refused, by a rule or at a limit, and those of them for which the disk had no room. */
  readonly refusedMessages: number
  readonly fullMessages: number
  /** Of every kind. */
  readonly receivedPackets: number
  readonly receivedBytes: number
  readonly sentPackets: number
  readonly sentBytes: number
  /** PUBLISHes to clients. */
  readonly sentMessages: number
}
