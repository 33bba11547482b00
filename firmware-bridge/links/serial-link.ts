/** MQTT-SN over a serial port: one device at its other end, one message a frame (framing/frame.ts). */
import { type DropReason, FrameDecoder } from '../framing/frame-decoder.ts'
import { FrameEncoder } from '../framing/frame-encoder.ts'
import { NoiseDetector } from '../framing/noise-detector.ts'
import type { SerialLinkConfig } from './config.ts'
import type { Link, LinkCounters, LinkListener } from './link.ts'
import { count, newLinkCounters } from './link-counters.ts'
import { type SerialHost, SerialLine } from './serial-line.ts'

/** A serial port has one peer, which needs no name. */
const PEER = ''
/** Two delimiters, a code of COBS, the CRC. */
const FRAME_OVERHEAD_BYTES = 5

export class SerialLink implements Link {
  readonly kind = 'serial'
  readonly name: string
  readonly messageBytesMax: number
  readonly retryMs: number
  readonly counters: LinkCounters = newLinkCounters()
  readonly #config: SerialLinkConfig
  readonly #host: SerialHost
  readonly #line: SerialLine
  readonly #decoder: FrameDecoder
  readonly #encoder: FrameEncoder
  readonly #noise = new NoiseDetector()
  #listener: LinkListener | null = null
  #good = 0
  #bad = 0
  #goodBytes = 0

  constructor(config: SerialLinkConfig, host: SerialHost) {
    this.name = `serial ${config.port}`
    this.messageBytesMax = config.messageBytesMax
    this.retryMs = config.retryMs
    this.#config = config
    this.#host = host
    this.#encoder = new FrameEncoder(config.messageBytesMax)
    this.#decoder = new FrameDecoder(config.messageBytesMax, {
      onMessage: (message) => this.#onMessage(message),
      onDropped: (reason) => this.#onDropped(reason),
    })
    this.#line = new SerialLine(config, config.sendBufferBytesMax, host, {
      onOpen: () => this.#noise.clear(),
      onData: (chunk) => this.#onData(chunk),
      onGone: (reason) => {
        this.#decoder.reset()
        this.#listener?.onGone(null, reason)
      },
    })
  }

  get trouble(): string | null {
    return this.#line.trouble ?? (this.#noise.isNoise ? this.#noiseLine() : null)
  }

  async open(listener: LinkListener): Promise<void> {
    this.#listener = listener
    await this.#line.start()
  }

  send(_peer: string, message: Uint8Array): boolean {
    if (message.length > this.messageBytesMax) return this.#notSent('too-long')
    if (!this.#line.isOpen) return this.#notSent('port-closed')
    const frame = this.#encoder.encode(message)
    if (!this.#line.write(frame)) return this.#notSent('send-buffer-full')
    this.counters.framesSent++
    this.counters.bytesSent += frame.length
    return true
  }

  broadcast(message: Uint8Array, _radius: number): boolean {
    return this.send(PEER, message)
  }

  async close(): Promise<void> {
    this.#listener = null
    await this.#line.stop()
  }

  #onData(chunk: Uint8Array): void {
    this.counters.bytesReceived += chunk.length
    this.#good = 0
    this.#bad = 0
    this.#goodBytes = 0
    this.#decoder.push(chunk)
    // a frame whose first bytes came before gives a negative number, which they gave positive then
    const change = this.#noise.note(this.#good, this.#bad, chunk.length - this.#goodBytes)
    if (change === 'noise') this.#host.log.warn(`serial port ${this.#noiseLine()}`)
    if (change === 'recovered') {
      this.#host.log.info(`serial port ${this.#config.port}: most frames are good again`)
    }
  }

  #onMessage(message: Uint8Array): void {
    this.counters.framesReceived++
    this.#good++
    this.#goodBytes += message.length + FRAME_OVERHEAD_BYTES
    this.#listener?.onMessage(PEER, message)
  }

  #onDropped(reason: DropReason): void {
    this.#bad++
    count(this.counters, reason)
  }

  #notSent(reason: string): false {
    count(this.counters, reason)
    return false
  }

  #noiseLine(): string {
    const { port, baudRate } = this.#config
    return (
      `${port} gives hardly anything but garbage at ${baudRate} baud: baud rate mismatch? ` +
      'Set baudRate to what the device is programmed with, and check that it speaks MQTT-SN in frames, and its ground wire'
    )
  }
}
