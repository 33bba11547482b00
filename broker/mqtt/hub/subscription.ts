/** A subscription as a session holds it, and as it is stored with the session. */
import type { QoS } from '../packets/packet.ts'

export interface Subscription {
  /** Without `$share/NAME/`. */
  readonly filter: string
  /** The group of a shared subscription, or null. */
  readonly shareName: string | null
  /** Granted. */
  readonly qos: QoS
  readonly isNoLocal: boolean
  readonly isRetainAsPublished: boolean
  readonly identifier: number | null
}

/** As the client wrote it: what tells its subscriptions apart. */
export function filterText({ filter, shareName }: Subscription): string {
  return shareName === null ? filter : `$share/${shareName}/${filter}`
}
