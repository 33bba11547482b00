/** What the next checkpoint writes, and when: derived state that has changed, and how far the log is in it. */
import type { AppliedPositions } from './applied-positions.ts'
import type { AwaySessions } from './away-sessions.ts'
import type { ClientSession } from './client-session.ts'
import type { InlineMessages } from './inline-messages.ts'
import type { Lifetimes } from './lifetimes.ts'
import type { RetainedMessages } from './retained.ts'
import type { SessionClock } from './session-clock.ts'
import { encodeMeta, encodeTime, FORMAT, META_KEY, TIME_KEY } from './state-format.ts'
import type { StateStore } from './state-store.ts'

/** Where nothing else is to be written, positions in the log are, so that a start has little to read. */
const APPLIED_TICKS = 30
const APPLIED_RECORDS = 50_000

export interface CheckpointParts {
  readonly store: StateStore
  readonly applied: AppliedPositions
  readonly away: AwaySessions
  readonly inline: InlineMessages
  readonly retained: RetainedMessages
  readonly clock: SessionClock
}

export class Checkpoint {
  readonly #parts: CheckpointParts
  readonly #changed: ClientSession[] = []
  #hasPassed = false

  constructor(parts: CheckpointParts) {
    this.#parts = parts
  }

  changed(session: ClientSession): void {
    this.#changed.push(session)
  }

  /**
   * A message went to those who take it. What a session that stays got of it may have left no trace there, as with QoS 0: its place has to be written,
   * so that a start does not hand it over once more.
   */
  passed(): void {
    this.#hasPassed = true
  }

  /** Each second. */
  isDue(ticks: number, sessions: Lifetimes): boolean {
    const { away, retained, store, applied } = this.#parts
    const isChanged = this.#changed.length > 0 || away.isChanged || retained.isChanged || store.unwritten > 0
    if (isChanged) return true
    const { lag } = applied
    if (lag >= APPLIED_RECORDS) return true
    if (this.#hasPassed && lag > 0 && sessions.hasStored) return true
    // session time is written as well
    return ticks % APPLIED_TICKS === 0 && (lag > 0 || away.count > 0)
  }

  /** Puts all derived state that has changed: it is of one moment, because nothing here waits. */
  build({ byClient, nextSession }: Lifetimes): void {
    const { store, away, inline, retained, applied, clock } = this.#parts
    store.put(META_KEY, encodeMeta({ format: FORMAT, sessions: nextSession }))
    for (const session of this.#changed.splice(0)) {
      // one that ended meanwhile has nothing on disk
      if (session.isStored && byClient.get(session.clientId) === session) session.build()
    }
    away.build()
    inline.build()
    retained.build()
    applied.build(store)
    store.put(TIME_KEY, encodeTime(clock.stored()))
    this.#hasPassed = false
  }
}
