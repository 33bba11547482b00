/** What sessions may hold. The door's configuration names the same limits. */

export interface SessionLimits {
  /** Sessions that stay when their connection ends; of others there are as many as connections. */
  readonly sessionsMax: number
  /** The same of one user, where there are users; those without a name are one. */
  readonly sessionsPerUserMax: number
  /** A session's subscriptions. */
  readonly subscriptionsMax: number
  /** A session's replays of streams (../replay/DESIGN.md). */
  readonly replaysMax: number
  /** The same of all sessions that are connected. */
  readonly replaysTotalMax: number
  /** Messages of QoS 1 and 2 that wait for a session. */
  readonly queuedMessagesMax: number
  /** Whether publishers wait for connected clients whose queue is half full (patience.ts). */
  readonly holdsPublishersBack: boolean
  /** A client that takes fewer messages a second than these while publishers wait is not waited for. */
  readonly subscriberRateMin: number
  /** Over so long, seconds; who takes nothing at all is waited for so long. */
  readonly subscriberStallSecondsMax: number
  /** Bytes of messages held in memory for a session, so that they need not be read back from the log; what is beyond is read back. */
  readonly heldBytesMax: number
  /** The same for all sessions together. */
  readonly heldBytesTotalMax: number
  /** Bytes of messages that no stream holds, of all sessions together: they cannot be read back from the log. One session holds an eighth. */
  readonly inlineBytesMax: number
  /** Messages of QoS 1 and 2 sent to a client and not acknowledged; a client can ask for fewer. */
  readonly inFlightMax: number
  /** A longer session expiry is cut to this, seconds; 0xFFFFFFFF is no limit. */
  readonly expirySecondsMax: number
  /** Of all wills together: topics, payloads and properties; one user's are a tenth of it at most, where there are users. */
  readonly willsBytesMax: number
  readonly retainedMessagesMax: number
  /** Topics, payloads and properties. */
  readonly retainedBytesMax: number
}

export const SESSION_LIMITS: SessionLimits = {
  sessionsMax: 10_000,
  sessionsPerUserMax: 1_000,
  subscriptionsMax: 1_000,
  replaysMax: 8,
  replaysTotalMax: 100,
  /** 480 kB: publishers that a commit serves bring thousands at once, which a subscriber that is quick enough takes a moment later. */
  queuedMessagesMax: 20_000,
  holdsPublishersBack: true,
  subscriberRateMin: 1_000,
  subscriberStallSecondsMax: 5,
  heldBytesMax: 128 * 1024,
  heldBytesTotalMax: 4 * 1024 * 1024,
  inlineBytesMax: 16 * 1024 * 1024,
  inFlightMax: 100,
  expirySecondsMax: 0xffffffff,
  willsBytesMax: 16 * 1024 * 1024,
  retainedMessagesMax: 10_000,
  retainedBytesMax: 64 * 1024 * 1024,
}

/** A session expiry that never comes. MQTT 5, section 3.1.2.11.2. */
export const NEVER_SECONDS = 0xffffffff
