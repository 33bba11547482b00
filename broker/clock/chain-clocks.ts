/** The clock of a log: one watch, and what each chain has noted of it. */
import { ClockState } from './clock-state.ts'
import type { ClockWatch, WatchStatus } from './clock-watch.ts'
import type { NotedEpoch } from './epoch.ts'
import type { ClockFacts } from './facts.ts'

export interface ClockStatus extends WatchStatus {
  /** Records from before this time, ms since 1970, were stamped by a clock that was wrong by the other figure: the last such stretch. */
  readonly correctedUntil: number | null
  readonly correctedByMs: number | null
}

/** A chain, as far as a correction needs it. */
interface Committing {
  readonly name: string
  readonly condition: { readonly state: string }
  onCommit(listener: () => void): void
}

export class ChainClocks {
  readonly #watch: ClockWatch | null
  readonly #states = new Map<string, ClockState>()

  /** @param watch null where the log is only read */
  constructor(watch: ClockWatch | null) {
    this.#watch = watch
  }

  /** The state that a chain commits. */
  stateOf(chain: string): ClockState {
    let state = this.#states.get(chain)
    if (state === undefined) {
      state = new ClockState(this.#watch)
      this.#states.set(chain, state)
    }
    return state
  }

  factsOf(chain: string): ClockFacts {
    return this.stateOf(chain)
  }

  /** The epoch that any chain noted last in this boot; null where none has. */
  last(bootId: string): NotedEpoch | null {
    let found: NotedEpoch | null = null
    for (const { last } of this.#states.values()) {
      if (last?.bootId === bootId && last.beganAt > (found?.beganAt ?? 0)) found = last
    }
    return found
  }

  /**
   * Once the clock is trusted, what it was wrong by before goes to disk without waiting for a record: the next boot could not
   * tell any more. Called on each change of the clock and after each commit.
   */
  settle(chains: Iterable<Committing>): void {
    for (const chain of chains) {
      if (chain.condition.state !== 'open' || !this.stateOf(chain.name).owesCorrection) continue
      try {
        chain.onCommit(() => {})
      } catch {
        // it closes: what is open is committed, or the next start in this boot does it
      }
    }
  }

  status(watch: ClockWatch): ClockStatus {
    let found: { until: number; byMs: number } | null = null
    for (const { corrected } of this.#states.values()) {
      if (corrected !== null && corrected.until > (found?.until ?? 0)) found = corrected
    }
    return {
      ...watch.status(),
      correctedUntil: found?.until ?? null,
      correctedByMs: found?.byMs ?? null,
    }
  }
}
