/** The running broker before systemd: ready, reloading, stopping, and alive while it gets on. Without systemd there is none of it. */
import type { LogSink } from '../../log-sink.ts'
import { ServiceManager, type ServiceManagerParts } from '../../service-manager.ts'
import { type Clock, systemClock } from '../../timers.ts'
import { Watchdog } from '../../watchdog.ts'
import { StatusMeter } from '../commands/start-meter.ts'
import type { Operations } from '../operations.ts'
import { judgeProgress, NOTHING_SEEN } from './progress.ts'

export interface SupervisionParts {
  readonly env: ServiceManagerParts['env']
  readonly log: LogSink
  readonly clock?: Clock
  readonly send?: ServiceManagerParts['send']
}

export class Supervision {
  readonly #manager: ServiceManager | null
  readonly #log: LogSink
  readonly #clock: Clock
  #watchdog: Watchdog | null = null

  constructor({ env, log, clock = systemClock, send }: SupervisionParts) {
    this.#manager = ServiceManager.of({ env, log, ...(send === undefined ? {} : { send }) })
    this.#log = log
    this.#clock = clock
  }

  /** Listeners are open, and so is the log. */
  ready(operations: Operations): void {
    if (this.#manager === null) return
    const meter = new StatusMeter(operations)
    void this.#manager.ready(meter.line())
    let seen = NOTHING_SEEN
    this.#watchdog = new Watchdog({
      manager: this.#manager,
      clock: this.#clock,
      log: this.#log,
      status: () => meter.line(),
      halted: () => {
        const facts = { log: operations.status().log, upstreams: operations.sync?.status() ?? [] }
        const judged = judgeProgress(seen, facts, this.#clock.monotonic())
        seen = judged.seen
        return judged.halted
      },
    })
    this.#watchdog.start()
  }

  /** Whatever comes of it, it is ready again: with what it had, or with what is new. */
  async reloading<T>(reload: () => Promise<T>): Promise<T> {
    if (this.#manager === null) return reload()
    void this.#manager.reloading()
    try {
      const result = await reload()
      void this.#manager.ready('the configuration was read again')
      return result
    } catch (error) {
      void this.#manager.ready('the configuration was refused; the one before stays')
      throw error
    }
  }

  stopping(): void {
    this.#watchdog?.stop()
    void this.#manager?.stopping()
  }
}
