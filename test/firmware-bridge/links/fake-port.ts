/** A serial port in memory, for what a pseudo terminal cannot do: be refused, hold bytes back, fail at a chosen moment. */
import type {
  OpenSerialPort,
  SerialPort,
  SerialPortListener,
} from '../../../firmware-bridge/links/serial-port.ts'

export class FakePort implements SerialPort {
  readonly listener: SerialPortListener
  readonly written: Buffer[] = []
  isPaused = false
  isClosed = false
  /** Writes are held back until it is called. */
  release: (() => void) | null = null
  #isHeld = false

  constructor(listener: SerialPortListener) {
    this.listener = listener
  }

  hold(): void {
    this.#isHeld = true
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isHeld) {
      await new Promise<void>((resolve) => {
        this.release = () => {
          this.#isHeld = false
          resolve()
        }
      })
    }
    // as the system does: what is in the bytes while they are being written
    this.written.push(Buffer.from(bytes))
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

/** Opens fake ports; `failures` are thrown first, one a try. */
export class FakePorts {
  readonly opened: FakePort[] = []
  readonly failures: Error[] = []
  tries = 0

  readonly open: OpenSerialPort = async (_settings, listener) => {
    this.tries++
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
    const port = new FakePort(listener)
    this.opened.push(port)
    return port
  }

  get last(): FakePort {
    return this.opened.at(-1)!
  }
}
