/** Messages that a session did not deliver, by reason. */

/**
 * - outboxFull: QoS 0, and the connection's buffer is full
 * - queueFull: the session's queue is full
 * - expired: its message expiry has passed
 * - tooLarge: larger than the client takes
 * - gone: retention or compaction has removed it from the log before it could be delivered
 * - inlineFull: no stream takes its topic, and what is held of such messages is at its limit
 * - retainedFull: not retained, because retained messages are at their limit; it was delivered all the same
 */
export const DROP_REASONS = [
  'outboxFull',
  'queueFull',
  'expired',
  'tooLarge',
  'gone',
  'inlineFull',
  'retainedFull',
] as const
export type DropReason = (typeof DROP_REASONS)[number]

export type DropCounts = Readonly<Record<DropReason, number>>

export class Drops {
  readonly #counts = Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as Record<
    DropReason,
    number
  >

  count(reason: DropReason): void {
    this.#counts[reason]++
  }

  counts(): DropCounts {
    return { ...this.#counts }
  }
}
