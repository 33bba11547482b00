/** Tells of each change of an upstream's state: listeners of all of them, the log of those that a person would ask about. */
import type { LinkStatus, LogSink, UpstreamEvent } from '../broker/index.ts'
import type { Clock } from './clock.ts'
import type { ReplicatorState, ReplicatorStatus } from './status.ts'

type Kind = ReplicatorState['kind']

const WHY: Readonly<Record<string, string>> = {
  schedule: 'outside its schedule',
  budget: 'its data budget is used up',
}

export class StateFeed {
  readonly #upstream: string
  readonly #sink: LogSink
  readonly #clock: Clock
  readonly #listeners = new Set<(event: UpstreamEvent) => void>()
  /** The log said last that nothing goes, and why. */
  #told: 'paused' | 'held' | null = null

  constructor(upstream: string, sink: LogSink, clock: Clock) {
    this.#upstream = upstream
    this.#sink = sink
    this.#clock = clock
  }

  add(listener: (event: UpstreamEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  changed(from: Kind, to: Kind, lastError: ReplicatorStatus['lastError'], hold: LinkStatus['hold']): void {
    this.#tell(to, hold)
    const event: UpstreamEvent = {
      upstream: this.#upstream,
      at: this.#clock.now(),
      from,
      to,
      error: to === 'backoff' || to === 'stopped' ? lastError : null,
      hold: to === 'held' ? hold : null,
    }
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        this.#sink.warn(`upstream ${this.#upstream}: a listener failed: ${String(error)}`)
      }
    }
  }

  /** Failures and their end have lines of their own (failure-log.ts). */
  #tell(to: Kind, hold: LinkStatus['hold']): void {
    const who = `upstream ${this.#upstream}`
    if (to === 'paused' && this.#told !== 'paused') {
      this.#told = 'paused'
      this.#sink.info(`${who}: paused until \`headwater sync resume\``)
    } else if (to === 'held' && this.#told !== 'held') {
      this.#told = 'held'
      const until = hold?.until == null ? '' : ` until ${new Date(hold.until).toISOString()}`
      this.#sink.info(`${who}: held, ${WHY[hold?.reason ?? ''] ?? 'by its link'}${until}`)
    } else if (to === 'recovering' && this.#told !== null && hold === null) {
      this.#told = null
      this.#sink.info(`${who}: goes on`)
    }
  }
}
