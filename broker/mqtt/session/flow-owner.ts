import type { ReasonCode } from '../packets/protocol-error.ts'

/** The session, as its flow needs it. */
export interface FlowOwner {
  readonly clientId: string
  readonly number: number
  /** Something in the table, or a replay's position, has changed. */
  changed(): void
  /** Messages cannot be read now: `pump` is called later. */
  stalled(): void
  /** All retained messages of a subscription are in the table, or delivered. */
  fed(filter: string): void
  /** A delivery is over. */
  progressed(): void
  close(reason: ReasonCode, text: string): void
}
