/** What the parts of a device see of the whole. */
import type { Packet, ReturnCode } from '../packets/packet.ts'
import type { DeviceSession } from '../uplink/uplink.ts'
import type { GatewayContext } from './context.ts'
import type { DeviceCounters } from './counters.ts'
import type { Route } from './route.ts'
import type { TopicRegistry } from './topic-registry.ts'

export interface DevicePort {
  readonly clientId: string
  readonly context: GatewayContext
  readonly counters: DeviceCounters
  readonly topics: TopicRegistry
  /** null: no way to it is known. */
  readonly route: Route | null
  /** null: it has none with the broker. */
  readonly session: DeviceSession | null
  /** @returns false: it cannot go now */
  send(packet: Packet): boolean
  puback(topicId: number, messageId: number, returnCode: ReturnCode): void
}

export interface DownlinkPort extends DevicePort {
  /** The device listens: it is active or awake, and there is a way to it. */
  readonly isReceiving: boolean
  /** It has been given as much as it is to get in one go. */
  readonly isSated: boolean
  /** Nothing is left that could go now. */
  onIdle(): void
  /** The next deadline may have come nearer. */
  plan(): void
}
