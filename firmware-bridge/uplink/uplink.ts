/**
 * The bridge's side of MQTT: what the gateway asks of the broker for its devices. One MQTT session a device, or one for all of them
 * (`sessions: aggregated`); the gateway does not see which.
 */
export type QoS = 0 | 1 | 2

export interface UplinkMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly isRetained: boolean
  /** MQTT-SN's message id of the device; 0 with QoS 0. */
  readonly messageId: number
  readonly isDup: boolean
  /** Become record headers: device time, clock trust and such. The same bytes each time a message is repeated is not required. */
  readonly properties: Readonly<Record<string, string>>
}

export interface Will {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly isRetained: boolean
}

export interface DeviceConnect {
  readonly clientId: string
  /** MQTT-SN CleanSession: the device began anew; its epoch goes up and its window is empty. */
  readonly isClean: boolean
  readonly keepAliveSeconds: number
  readonly will: Will | null
  readonly listener: SessionListener
}

/**
 * `accepted`: on the broker's disk, or (QoS 0) handed over. `repeated`: it was accepted before and is not sent again; acknowledge it.
 * `congested`: not now, the device is to repeat it later (MQTT-SN return code 0x01). `refused`: never.
 */
export type PublishResult =
  | { readonly kind: 'accepted' | 'repeated' | 'congested' }
  | { readonly kind: 'refused'; readonly reason: string }

export interface DownMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly isRetained: boolean
  /** Absolute, monotonic ms; null: never. */
  readonly expiresAt: number | null
}

export interface SessionListener {
  /**
   * A message for the device. Resolves when the device has acknowledged it or it was given up; then MQTT's acknowledgement leaves. Rejects when
   * the session has ended before: the broker still has the message.
   */
  onMessage(message: DownMessage): Promise<void>
  /** The broker ended the session for good (taken over, not authorised any more): the device is to be disconnected. A lost connection is not told: the uplink reconnects by itself. */
  onEnded(reason: string): void
}

export interface DeviceSession {
  /** Subscriptions of before are in force. */
  readonly isPresent: boolean
  publish(message: UplinkMessage): Promise<PublishResult>
  /** PUBREL of a device: its QoS 2 message id is free. Resolves when that is on disk. */
  release(messageId: number): Promise<void>
  /** @returns the granted QoS, or null when the broker refuses it */
  subscribe(filter: string, qos: QoS): Promise<QoS | null>
  unsubscribe(filter: string): Promise<void>
  /** WILLTOPICUPD, WILLMSGUPD; null: none any more. */
  setWill(will: Will | null): Promise<void>
  /** `clean`: DISCONNECT of the device, its will is dropped. `lost`: it went silent, its will is published. The session stays at the broker unless it was clean. */
  end(how: 'clean' | 'lost'): Promise<void>
}

export interface Uplink {
  /** false: the broker cannot be reached now; publishes are congested. */
  readonly isUp: boolean
  /** @throws BridgeError the broker refuses the client (reason and way out), or cannot be reached */
  connect(connect: DeviceConnect): Promise<DeviceSession>
  /** QoS -1: from a device that never connects. @returns false: dropped, counted */
  publishUnconnected(message: UplinkMessage): boolean
  close(): Promise<void>
}
