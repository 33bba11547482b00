/**
 * The seam between the connections and the broker: a front speaks MQTT on its listeners, hands each accepted message to
 * the ingress and acknowledges when it calls back. The first one is aedes (aedes-front.ts).
 */
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
  /** Stops taking connections and ends those there are. */
  close(): Promise<void>
}
