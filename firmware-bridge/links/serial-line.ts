/**
 * The life of one serial port, whatever is spoken on it: waited for until it is there, opened, lost, opened again. It never gives up and
 * never ends the bridge; what keeps it from working is one line in `trouble`, logged when it changes.
 *
 *   waiting --open--> open --unplugged, failed--> waiting          a wait: absent LOOK_MS; else doubling to `backoff.msMax`
 */
import type { LogSink } from '../../broker/log-sink.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import type { Clock } from '../clock.ts'
import { type Advise, adviseHere } from './port-advice.ts'
import { stableNameOf } from './port-discovery.ts'
import { SendBuffer } from './send-buffer.ts'
import {
  type OpenSerialPort,
  PortFailure,
  type PortFailureKind,
  type SerialPort,
  type SerialSettings,
} from './serial-port.ts'
import { openSystemPort } from './system-serial-port.ts'

/** What a line needs of the machine. */
export interface SerialHost {
  readonly clock: Clock
  readonly log: LogSink
  /** From [0, 1). */
  readonly random: () => number
  readonly openPort: OpenSerialPort
  readonly advise: Advise
  readonly stableNameOf: (port: string) => Promise<string | null>
}

export function systemSerialHost(clock: Clock, log: LogSink): SerialHost {
  return { clock, log, random: Math.random, openPort: openSystemPort, advise: adviseHere, stableNameOf }
}

export interface SerialLineListener {
  onOpen(): void
  /** @param chunk valid during the call only */
  onData(chunk: Uint8Array): void
  /** It was open and is not any more. */
  onGone(reason: string): void
}

export interface SerialLineCounters {
  opened: number
  lost: number
  bytesReceived: number
  bytesSent: number
}

/** How often a port that is not there is looked for. */
const LOOK_MS = 1000
const BACKOFF: Backoff = { firstMs: 250, msMax: 30_000 }
/** A port that is not there is advised about at one look in so many: which ports there are instead takes a walk through /sys. */
const ADVISE_EVERY = 30
/** A port that was open this long did work: the next wait is short again. */
const STEADY_MS = 5000

export class SerialLine {
  readonly settings: SerialSettings
  readonly counters: SerialLineCounters = { opened: 0, lost: 0, bytesReceived: 0, bytesSent: 0 }
  readonly #host: SerialHost
  readonly #listener: SerialLineListener
  readonly #sendBuffer: SendBuffer
  #port: SerialPort | null = null
  #trouble: string | null = 'it is not opened yet'
  #cancelRetry = () => {}
  #opening: Promise<void> = Promise.resolve()
  #isStopped = false
  #isPaused = false
  #isWriting = false
  #openedAt = 0
  /** Tries since it was open. */
  #failures = 0
  /** Those, and losses, for which the next try waits longer: a port that was only away is no worse for it. */
  #troubles = 0
  /** Of the failure that `trouble` tells. */
  #told: PortFailureKind | null = null

  constructor(
    settings: SerialSettings,
    sendBufferBytesMax: number,
    host: SerialHost,
    listener: SerialLineListener,
  ) {
    this.settings = settings
    this.#host = host
    this.#listener = listener
    this.#sendBuffer = new SendBuffer(sendBufferBytesMax)
  }

  get isOpen(): boolean {
    return this.#port !== null
  }

  /** What is wrong and the way out; null while the port is open. */
  get trouble(): string | null {
    return this.#trouble
  }

  /** Resolves after the first try. @throws SerialLibraryError serial ports cannot be used at all */
  async start(): Promise<void> {
    const { port } = this.settings
    const stable = await this.#host.stableNameOf(port)
    if (stable !== null) {
      this.#host.log.info(`${port} may be another port after the next start; ${stable} is the same one`)
    }
    this.#opening = this.#tryOpen()
    await this.#opening
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancelRetry()
    await this.#opening.catch(() => {})
    const port = this.#port
    this.#port = null
    this.#trouble = 'it is closed'
    await port?.close()
  }

  /** @returns false when there is no port, or no room for all of it: nothing of it goes */
  write(bytes: Uint8Array): boolean {
    const port = this.#port
    if (port === null || !this.#sendBuffer.add(bytes)) return false
    if (!this.#isWriting) void this.#drain(port)
    return true
  }

  /** Reading stops, also of a port that is opened later. */
  pause(): void {
    this.#isPaused = true
    this.#port?.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#port?.resume()
  }

  async #tryOpen(): Promise<void> {
    let opened: SerialPort | null = null
    let lost: string | null = null
    try {
      opened = await this.#host.openPort(this.settings, {
        onData: (chunk) => {
          if (this.#port !== opened || opened === null) return
          this.counters.bytesReceived += chunk.length
          this.#listener.onData(chunk)
        },
        onClosed: (reason) => {
          lost = reason
          if (opened !== null) this.#onLost(opened, reason)
        },
      })
    } catch (error) {
      if (!(error instanceof PortFailure)) throw error
      await this.#onFailure(error)
      return
    }
    if (this.#isStopped) await opened.close()
    else if (lost !== null) await this.#onFailure(new PortFailure('unusable', lost))
    else this.#onOpen(opened)
  }

  #onOpen(port: SerialPort): void {
    this.#port = port
    this.#trouble = null
    this.#told = null
    this.#openedAt = this.#host.clock.monotonic()
    this.#sendBuffer.clear()
    this.#isWriting = false
    this.counters.opened++
    if (this.#isPaused) port.pause()
    const { port: name, baudRate } = this.settings
    const after = this.#failures > 0 ? ` after ${this.#failures} tries` : ''
    this.#host.log.info(`serial port ${name} is open at ${baudRate} baud${after}`)
    this.#listener.onOpen()
  }

  #onLost(port: SerialPort, reason: string): void {
    if (this.#port !== port) return
    this.#port = null
    this.counters.lost++
    const { port: name } = this.settings
    this.#trouble = `${name} was unplugged or failed (${reason}); it is opened again when it is back`
    this.#host.log.warn(`serial port ${this.#trouble}`)
    if (this.#host.clock.monotonic() - this.#openedAt >= STEADY_MS) this.#troubles = 0
    this.#failures = 1
    this.#troubles++
    this.#listener.onGone(reason)
    this.#retryIn(this.#backoff())
  }

  async #onFailure(failure: PortFailure): Promise<void> {
    this.#failures++
    if (failure.kind !== 'absent') this.#troubles++
    const isTold = failure.kind === 'absent' && this.#told === 'absent' && this.#failures % ADVISE_EVERY !== 0
    const trouble = isTold ? this.#trouble : await this.#host.advise(this.settings.port, failure)
    if (this.#isStopped) return
    this.#told = failure.kind
    if (trouble !== this.#trouble) this.#host.log.warn(`serial port ${trouble}`)
    this.#trouble = trouble
    this.#retryIn(failure.kind === 'absent' ? LOOK_MS : this.#backoff())
  }

  #backoff(): number {
    return backoffMs(BACKOFF, this.#troubles, this.#host.random())
  }

  #retryIn(ms: number): void {
    if (this.#isStopped) return
    this.#cancelRetry = this.#host.clock.after(ms, () => {
      this.#opening = this.#tryOpen()
      // it opened before, or the first try would have told
      this.#opening.catch((error: Error) => this.#onFailure(new PortFailure('unusable', error.message)))
    })
  }

  async #drain(port: SerialPort): Promise<void> {
    this.#isWriting = true
    for (let batch = this.#sendBuffer.take(); batch !== null; batch = this.#sendBuffer.take()) {
      try {
        await port.write(batch)
      } catch (error) {
        await port.close()
        this.#onLost(port, (error as Error).message)
        return
      }
      if (this.#port !== port) return
      this.counters.bytesSent += batch.length
    }
    this.#isWriting = false
  }
}
