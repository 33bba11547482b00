/** What sessions hold, in numbers. */
import type { ClientSession } from './client-session.ts'
import type { DropCounts } from './drops.ts'

interface OwnCounts {
  readonly dropped: DropCounts
  /** Sessions of clients that were away, ended for newer ones of their user at a limit of sessions. */
  readonly evicted: number
  readonly retained: number
  /** Of the broker's own: $SYS. */
  readonly retainedOwn: number
  readonly retainedBytes: number
  readonly wills: number
  readonly willsBytes: number
  readonly willsPublished: number
  /** Tries that failed; each will is tried again. */
  readonly willsFailed: number
  /** Given up. */
  readonly willsDropped: number
  /** Messages in memory that wait for a connection with room. */
  readonly heldBytes: number
  /** Sessions that publishers wait for now; how often one was too slow to be waited for. */
  readonly waitedFor: number
  readonly letGo: number
  /** Messages that no stream holds, and that are to be delivered. */
  readonly inlineMessages: number
  readonly inlineBytes: number
  /** Subscriptions to the history of a stream. */
  readonly replays: number
  /** Messages that the last start read from the log again. */
  readonly replayed: number
  readonly writes: number
  readonly syncedWrites: number
  readonly failedWrites: number
  /** Changes that wait for the next write. */
  readonly unwritten: number
  readonly writtenBytes: number
  /** Why the state cannot be written now. */
  readonly failure: string | null
}

export interface SessionsStatus extends OwnCounts {
  readonly sessions: number
  readonly connected: number
  /** Those that stay when their connection ends. */
  readonly stored: number
  readonly subscriptions: number
  /** Messages of QoS 1 and 2 that wait. */
  readonly queued: number
  /** Sent and not acknowledged. */
  readonly inFlight: number
}

export function countSessions(sessions: Iterable<ClientSession>, own: OwnCounts): SessionsStatus {
  const counts = { sessions: 0, connected: 0, stored: 0, subscriptions: 0, queued: 0, inFlight: 0 }
  for (const session of sessions) {
    counts.sessions++
    if (session.isOnline) counts.connected++
    if (session.isStored) counts.stored++
    counts.subscriptions += session.subscriptions.size
    counts.queued += session.queued
    counts.inFlight += session.inFlight
  }
  return { ...counts, ...own }
}
