/**
 * The seam between the connections and the broker: a front speaks MQTT on its listeners, hands each accepted message to
 * the ingress and acknowledges when it calls back. The first one is aedes (aedes-front.ts).
 */
import type { Delivery, OwnMessage } from './own-messages.ts'

export interface FrontStatus {
  readonly listeners: readonly string[]
  readonly clients: number
  /** Connections since the start, and those that were refused or dropped with a reason. */
  readonly connected: number
  readonly refused: number
  readonly dropped: number
}

export interface MqttFront {
  /** @throws ListenError */
  listen(): Promise<void>
  status(): FrontStatus
  /** Hands a message of the broker's own to the subscribers, with QoS 1; in the order of the calls. */
  publish(message: OwnMessage): Promise<Delivery>
  /** Whether somebody takes this topic now. */
  hasSubscriber(topic: string): Promise<boolean>
  /** Stops taking connections and ends those there are. */
  close(): Promise<void>
}
