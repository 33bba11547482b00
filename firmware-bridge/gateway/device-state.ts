/**
 * What a device is to the gateway. MQTT-SN 1.2, section 6.14, figure 4; the steps of a CONNECT (section 6.2) are states of their own.
 *
 *     disconnected, lost --CONNECT--> [will-topic -> will-message] -> joining -> active
 *     active --DISCONNECT(duration)--> asleep --PINGREQ(client id)--> awake --PINGRESP--> asleep
 *     active, asleep, awake --silence--> lost --(will)          any --DISCONNECT--> disconnected         any --CONNECT--> as above
 */
import type { Connect, WillTopic } from '../packets/packet.ts'

/** A question to the device that it has not answered. */
interface Asking {
  readonly connect: Connect
  attempts: number
  retryAt: number
}

export type DeviceState =
  | { readonly kind: 'disconnected' | 'lost' | 'active' | 'asleep' }
  | ({ readonly kind: 'will-topic' } & Asking)
  | ({ readonly kind: 'will-message'; readonly topic: NonNullable<WillTopic['will']> } & Asking)
  /** Its session is being made. `next`: it has connected otherwise meanwhile. */
  | { readonly kind: 'joining'; readonly connect: Connect; next: Connect | null; readonly endsAt: number }
  /** `restsAt`: all is delivered, and what the broker may still have is waited for so long. */
  | { readonly kind: 'awake'; restsAt: number }

export type DeviceStateName = DeviceState['kind']

export interface DeviceStatus {
  readonly clientId: string
  readonly state: DeviceStateName
  /** The link, and the peer on it; of a device that is gone where it was last. */
  readonly link: string
  readonly peer: string
  /** Unix ms. */
  readonly lastSeenAt: number
  readonly received: number
  readonly perSecond: number
  readonly sent: number
  readonly published: number
  readonly delivered: number
  readonly retransmissionsSeen: number
  readonly retransmissionsMade: number
  readonly congested: number
  readonly unanswered: number
  /** By reason. */
  readonly dropped: Readonly<Record<string, number>>
  readonly undelivered: Readonly<Record<string, number>>
  /** Smoothed; null: not measured. */
  readonly roundTripMs: number | null
  /** Messages that wait for the device. */
  readonly queue: number
  readonly topics: number
  readonly connects: number
  readonly moves: number
  /** What makes the device's ms Unix ms; null: it has not asked for the time. */
  readonly clockOffsetMs: number | null
}
