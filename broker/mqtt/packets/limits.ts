/** What one packet may hold. Defaults; the configuration sets them. */
export interface PacketLimits {
  /** Of a whole packet, fixed header included. */
  readonly packetBytesMax: number
  readonly topicLevelsMax: number
  readonly topicBytesMax: number
  readonly clientIdBytesMax: number
  /** Of one SUBSCRIBE or UNSUBSCRIBE. */
  readonly filtersMax: number
  /** Of one packet. */
  readonly userPropertiesMax: number
}

export const DEFAULT_PACKET_LIMITS: PacketLimits = {
  packetBytesMax: 1024 * 1024 + 64 * 1024,
  topicLevelsMax: 100,
  topicBytesMax: 1024,
  clientIdBytesMax: 256,
  filtersMax: 1000,
  userPropertiesMax: 100,
}
