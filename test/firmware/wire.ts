/** The wire of one device: damage both ways between it and the serial port that the bridge opens. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { BadWire, type Weather } from '../firmware-bridge/device/bad-wire.ts'
import { frame } from '../firmware-bridge/device/frames.ts'
import { onExit } from '../support/kafka/cleanup.ts'
import type { Random } from '../support/random.ts'

const WEATHER: Weather = { lost: 0.05, flipped: 0.001, repeated: 0, delayMsMax: 15 }
const TICK_MS = 4
const START_MS_MAX = 20_000
/** The bridge's frames are no longer. */
const FRAME_BYTES_MAX = 1024

export class Wire {
  readonly #up: BadWire
  readonly #down: BadWire
  readonly #toDevice: (bytes: Buffer) => void
  #port: ChildProcessWithoutNullStreams | null = null
  #rest = Buffer.alloc(0)
  #timer: NodeJS.Timeout | null = null
  frames = 0

  constructor(random: Random, toDevice: (bytes: Buffer) => void) {
    this.#up = new BadWire(random, WEATHER)
    this.#down = new BadWire(random, WEATHER)
    this.#toDevice = toDevice
  }

  get lost(): number {
    return this.#up.lost + this.#down.lost
  }

  get flipped(): number {
    return this.#up.flipped + this.#down.flipped
  }

  /** @param holder the program that holds the pseudo-terminal @param path where the port is to appear */
  async open(holder: string, path: string): Promise<void> {
    const port = spawn(holder, [path], { stdio: 'pipe' })
    this.#port = port
    onExit(() => port.kill('SIGKILL'))
    port.stdin.on('error', () => {})
    port.stdout.on('data', (chunk: Buffer) => this.#fromBridge(chunk))
    const end = Date.now() + START_MS_MAX
    while (!existsSync(path)) {
      if (port.exitCode !== null || Date.now() > end) throw new Error(`no pseudo-terminal at ${path}`)
      await delay(5)
    }
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  fromDevice(message: Buffer): void {
    this.frames++
    this.#up.put(performance.now(), frame(message))
  }

  /** The device's end is dead: what is under way to it goes nowhere. */
  clearDown(): void {
    this.#down.clear()
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    const port = this.#port
    if (port === null || port.exitCode !== null || port.signalCode !== null) return
    const closed = once(port, 'close')
    port.stdin.end()
    await closed
  }

  #tick(): void {
    const now = performance.now()
    const up = this.#up.take(now)
    if (up.length > 0) this.#port?.stdin.write(up)
    const down = this.#down.take(now)
    if (down.length > 0) this.#toDevice(down)
  }

  #fromBridge(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (;;) {
      const end = this.#rest.indexOf(0)
      if (end < 0) break
      const encoded = this.#rest.subarray(0, end)
      this.#rest = this.#rest.subarray(end + 1)
      if (encoded.length === 0) continue
      this.frames++
      this.#down.put(performance.now(), Buffer.concat([Buffer.of(0), encoded, Buffer.of(0)]))
    }
    if (this.#rest.length > FRAME_BYTES_MAX) throw new Error('the bridge sent what is no frame')
  }
}
