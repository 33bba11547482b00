/** What all sessions share. */
import type { ClientSession } from './client-session.ts'
import type { Drops } from './drops.ts'
import type { InlineMessages } from './inline-messages.ts'
import type { SessionLimits } from './limits.ts'
import type { MessageLoader } from './message-loader.ts'
import type { Session } from './session.ts'
import type { StateStore } from './state-store.ts'

export interface SessionContext {
  readonly limits: SessionLimits
  readonly drops: Drops
  readonly store: StateStore
  readonly inline: InlineMessages
  readonly loader: MessageLoader
  /** Bytes of messages held in memory by all sessions. */
  readonly held: { bytes: number }
  /** ms since 1970, the clock of messages' timestamps. */
  now(): number
  /** Something of a stored session is to be written with the next checkpoint: `build` is called then. */
  changed(session: ClientSession): void
  /**
   * What a fact says is over: it is removed in the next checkpoint. Of a QoS 2 delivery not before, because only then the positions cover its
   * message.
   */
  finished(key: Buffer): void
  /** Messages cannot be read now: `retry` is called later. */
  stalled(session: ClientSession): void
  queueFull(session: ClientSession): void
  /** Too slow for publishers to wait for it. */
  isLetGo(session: ClientSession): boolean
  /** Publishers wait for it, or do not any more. */
  awaited(session: ClientSession, isAwaited: boolean): void
  /** The session has closed its connection: it counts as lost. */
  closed(link: Session): void
}
