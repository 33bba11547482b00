/**
 * A device that prints lines, from its port to the broker. A line has no acknowledgement, so nothing can be asked for again: what is
 * malformed is counted and told once by what is wrong, with the line and the way out.
 */
import { NoiseDetector } from '../framing/noise-detector.ts'
import type { LinkCounters } from '../links/link.ts'
import { count, newLinkCounters } from '../links/link-counters.ts'
import { type SerialHost, SerialLine } from '../links/serial-line.ts'
import type { Outbox } from '../outlet/outbox.ts'
import { portName, stamp } from '../outlet/stamp.ts'
import type { LineLinkConfig } from './config.ts'
import { type LineDrop, LineMessages } from './line-messages.ts'
import { printable } from './printable.ts'

export interface LineHost extends SerialHost {
  readonly isClockTrusted: () => boolean
}

export class LineLink {
  readonly name: string
  /** `framesReceived` are lines; drops are by what is wrong with them. */
  readonly counters: LinkCounters = newLinkCounters()
  readonly outbox: Outbox
  readonly #config: LineLinkConfig
  readonly #host: LineHost
  readonly #line: SerialLine
  readonly #messages: LineMessages
  readonly #noise: NoiseDetector
  /** What was told since the port was opened. */
  readonly #told = new Set<LineDrop>()
  #good = 0
  #bad = 0

  /** @param outbox this link's own; it is started and stopped with it */
  constructor(config: LineLinkConfig, host: LineHost, outbox: Outbox) {
    this.name = `serial ${config.port}`
    this.outbox = outbox
    this.#config = config
    this.#host = host
    this.#noise = new NoiseDetector(config.lineBytesMax)
    const device = portName(config.port)
    this.#messages = new LineMessages(config, device, {
      onMessage: (topic, payload) => {
        this.#good++
        outbox.offer(topic, payload, stamp(host, this.name, device))
      },
      onDropped: (reason, line, wayOut) => this.#onDropped(reason, line, wayOut),
    })
    this.#line = new SerialLine(config, config.sendBufferBytesMax, host, {
      onOpen: () => {
        this.#told.clear()
        this.#noise.clear()
      },
      onData: (chunk) => this.#onData(chunk),
      onGone: () => this.#messages.reset(),
    })
    outbox.onRoom = () => this.#line.resume()
  }

  /** What is wrong with the port or the broker and the way out; null while lines flow. */
  get trouble(): string | null {
    const noise = this.#noise.isNoise ? this.#noiseLine() : null
    return this.#line.trouble ?? noise ?? this.outbox.trouble
  }

  async start(): Promise<void> {
    this.outbox.start()
    await this.#line.start()
  }

  async stop(): Promise<void> {
    await this.#line.stop()
    await this.outbox.stop()
  }

  #onData(chunk: Uint8Array): void {
    const { linesReceived } = this.#messages
    this.#good = 0
    this.#bad = 0
    this.#messages.push(chunk)
    this.counters.bytesReceived += chunk.length
    this.counters.framesReceived += this.#messages.linesReceived - linesReceived
    if (this.outbox.isFull && this.#config.whenFull === 'pause') this.#line.pause()
    const change = this.#noise.note(this.#good, this.#bad, this.#good > 0 ? 0 : chunk.length)
    if (change === 'noise') this.#host.log.warn(`serial port ${this.#noiseLine()}`)
    if (change === 'recovered') this.#host.log.info(`serial port ${this.#config.port}: lines are good again`)
  }

  #onDropped(reason: LineDrop, line: string | null, wayOut: string): void {
    count(this.counters, reason)
    if (reason === 'truncated') return
    this.#bad++
    if (this.#told.has(reason)) return
    this.#told.add(reason)
    const shown = line === null ? '' : `: ${printable(line)}`
    this.#host.log.warn(`serial port ${this.#config.port}: a line is not used (${reason})${shown}; ${wayOut}`)
  }

  #noiseLine(): string {
    const { port, baudRate, format } = this.#config
    return (
      `${port} gives hardly a line of ${format} at ${baudRate} baud: baud rate mismatch? ` +
      'Set baudRate to that of Serial.begin in the sketch, and format to what it prints'
    )
  }
}
