/** A fault that comes again and again: told when it first comes, and once more when it is over. A full disk must not be filled by lines about it. */
import type { LogSink } from '../log-sink.ts'

export class RepeatedFault {
  readonly #message: string
  #times = 0

  constructor(message: string) {
    this.#message = message
  }

  came(log: LogSink, fields: Record<string, unknown>): void {
    if (this.#times++ === 0) log.error(this.#message, fields)
  }

  /** @param message what works again */
  isOver(log: LogSink, message: string, fields: Record<string, unknown>): void {
    if (this.#times > 1) log.info(message, { ...fields, failures: this.#times })
    this.#times = 0
  }
}
