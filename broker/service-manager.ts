/**
 * What systemd is told of this process, sd_notify(3): assignments in a datagram to the socket that NOTIFY_SOCKET names. Node has no datagrams
 * over Unix sockets, so systemd's own program sends them: 20 ms of a child process, some times a minute. The unit needs NotifyAccess=all.
 *
 *   READY=1           start or reload is over          STOPPING=1     the end has begun
 *   RELOADING=1       the configuration is read        STATUS=text    one line for `systemctl status`
 *   MONOTONIC_USEC=n  with RELOADING: CLOCK_MONOTONIC  WATCHDOG=1     all is well, for another WATCHDOG_USEC
 */
import { execFile } from 'node:child_process'
import type { LogSink } from './log-sink.ts'

const PROGRAM = 'systemd-notify'
const READY = 'READY=1'
const ENDS_READY = ['RELOADING=', 'STOPPING=']
/**
 * A child that takes longer is ended. It is read from a card that may stand still for a minute: as long as the next sign of life is away, so that one
 * of them waits whenever the card answers again.
 */
const SEND_MS_MAX = 30_000
/** What waits to be told; more means that systemd does not listen. */
const WAITING_MAX = 16
const STATUS_CHARACTERS_MAX = 200

export interface ServiceManagerParts {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: LogSink
  /** Sends assignments; tests hand in another. */
  readonly send?: (assignments: readonly string[]) => Promise<void>
}

export class ServiceManager {
  /** How long systemd waits for a sign of life, ms; null: it does not. */
  readonly watchdogMs: number | null
  readonly #send: (assignments: readonly string[]) => Promise<void>
  readonly #log: LogSink
  /** One after the other: READY must not overtake RELOADING. */
  #last: Promise<void> = Promise.resolve()
  #waiting = 0
  #hasFailed = false
  /** Said in vain: without it systemd ends a service that is well once its time to start is over. It goes along with the next sign of life. */
  #owesReady = false

  private constructor(watchdogMs: number | null, { env, log, send = sender(env) }: ServiceManagerParts) {
    this.watchdogMs = watchdogMs
    this.#send = send
    this.#log = log
  }

  /** @returns null where nobody is to be told */
  static of(parts: ServiceManagerParts): ServiceManager | null {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = parts.env
    if (socket === undefined || socket === '') return null
    const isOurs = pid === undefined || Number(pid) === process.pid
    const ms = Number(usec) / 1000
    return new ServiceManager(isOurs && ms > 0 ? ms : null, parts)
  }

  ready(status: string): Promise<void> {
    return this.#tell(READY, statusOf(status))
  }

  reloading(): Promise<void> {
    // the clock of hrtime is CLOCK_MONOTONIC
    return this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
  }

  stopping(): Promise<void> {
    return this.#tell('STOPPING=1', statusOf('stopping'))
  }

  status(status: string): Promise<void> {
    return this.#tell(statusOf(status))
  }

  alive(status: string): Promise<void> {
    return this.#tell('WATCHDOG=1', statusOf(status))
  }

  async #tell(...assignments: string[]): Promise<void> {
    if (this.#waiting >= WAITING_MAX) return
    this.#waiting++
    const sent = this.#last.then(() => this.#sendWithWhatIsOwed(assignments))
    this.#last = sent.then(
      () => {},
      () => {},
    )
    try {
      await sent
      this.#hasFailed = false
    } catch (error) {
      // told once: it will be the same in half a minute
      if (!this.#hasFailed) {
        this.#log.error('systemd could not be told how this service is', {
          told: assignments[0],
          reason: (error as Error).message,
        })
      }
      this.#hasFailed = true
    } finally {
      this.#waiting--
    }
  }

  /** One at a time. */
  async #sendWithWhatIsOwed(assignments: readonly string[]): Promise<void> {
    const [first = ''] = assignments
    // a reload ends with a READY of its own, and an end has none
    const isOver = ENDS_READY.some((name) => first.startsWith(name))
    const owed = this.#owesReady && !isOver && first !== READY ? [READY] : []
    this.#owesReady = owed.length > 0 || first === READY
    await this.#send([...owed, ...assignments])
    this.#owesReady = false
  }
}

function statusOf(text: string): string {
  return `STATUS=${text.replace(/[\n\r]+/g, ' ').slice(0, STATUS_CHARACTERS_MAX)}`
}

function sender(env: ServiceManagerParts['env']): (assignments: readonly string[]) => Promise<void> {
  const options = { env, timeout: SEND_MS_MAX, killSignal: 'SIGKILL' as const }
  return (assignments) =>
    new Promise((resolve, reject) => {
      execFile(PROGRAM, [...assignments], options, (error) => (error === null ? resolve() : reject(error)))
    })
}
