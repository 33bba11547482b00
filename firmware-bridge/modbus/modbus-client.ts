/** One request at a time on a bus, through modbus-serial, which is loaded when the first bus is. */
import type { Clock } from '../clock.ts'
import type { PlannedRead } from './read-plan.ts'
import { type RtuLine, RtuPort } from './rtu-port.ts'

/** What is used of modbus-serial's class. */
type Library = Pick<
  import('modbus-serial').default,
  | 'open'
  | 'on'
  | 'setID'
  | 'setTimeout'
  | 'readHoldingRegisters'
  | 'readInputRegisters'
  | 'readCoils'
  | 'readDiscreteInputs'
>

/** `timeout`: silence. `garbled`: bytes came, and no answer among them. `exception`: the device refuses; `code` is its reason. */
export type ReadResult =
  | {
      readonly kind: 'read'
      readonly bytes: Buffer
      readonly bits: readonly boolean[]
      readonly tookMs: number
    }
  | { readonly kind: 'timeout' | 'garbled' | 'port-closed' }
  | { readonly kind: 'exception'; readonly code: number }

/** Bits of a character with start, parity and stop. */
const CHARACTER_BITS = 11
/** Characters of silence between an answer and the next request (Modbus over Serial Line 1.02, 2.5.1.1). */
const SILENCE_CHARACTERS = 3.5
const SILENCE_MS_MIN = 2

export class ModbusClient {
  readonly #clock: Clock
  readonly #port: RtuPort
  readonly #client: Library
  readonly #silenceMs: number

  private constructor(client: Library, port: RtuPort, baudRate: number, clock: Clock) {
    this.#client = client
    this.#port = port
    this.#clock = clock
    const silence = (SILENCE_CHARACTERS * CHARACTER_BITS * 1000) / baudRate
    this.#silenceMs = Math.max(SILENCE_MS_MIN, Math.ceil(silence))
  }

  static async create(line: RtuLine, baudRate: number, clock: Clock): Promise<ModbusClient> {
    // CommonJS whose default is the class, and not by its types
    const library = (await import('modbus-serial')) as unknown as {
      default: new (port: RtuPort) => Library
    }
    const port = new RtuPort(line)
    const client = new library.default(port)
    client.on('error', () => {})
    await new Promise<void>((resolve) => client.open(() => resolve()))
    return new ModbusClient(client, port, baudRate, clock)
  }

  /** Bytes that came when nothing was asked: another master, or answers that were too late. */
  get strayBytes(): number {
    return this.#port.stray
  }

  receive(chunk: Uint8Array): void {
    this.#port.receive(chunk)
  }

  /** Not to be called again before it resolves. */
  async read(unit: number, read: PlannedRead, timeoutMs: number): Promise<ReadResult> {
    if (!this.#port.isOpen) return { kind: 'port-closed' }
    const start = this.#clock.monotonic()
    this.#client.setID(unit)
    this.#client.setTimeout(timeoutMs)
    try {
      const { data, buffer } = await this.#request(read)
      const tookMs = this.#clock.monotonic() - start
      await this.#wait(this.#silenceMs)
      return { kind: 'read', bytes: buffer, bits: data as boolean[], tookMs }
    } catch (error) {
      this.#port.rest()
      const { modbusCode } = error as { modbusCode?: number }
      await this.#wait(modbusCode === undefined ? timeoutMs : this.#silenceMs)
      if (modbusCode !== undefined) return { kind: 'exception', code: modbusCode }
      if (!this.#port.isOpen) return { kind: 'port-closed' }
      return { kind: this.#port.received > 0 ? 'garbled' : 'timeout' }
    }
  }

  #request({ kind, address, count }: PlannedRead): Promise<{ data: readonly unknown[]; buffer: Buffer }> {
    switch (kind) {
      case 'holding':
        return this.#client.readHoldingRegisters(address, count)
      case 'input':
        return this.#client.readInputRegisters(address, count)
      case 'coil':
        return this.#client.readCoils(address, count)
      case 'discrete':
        return this.#client.readDiscreteInputs(address, count)
    }
  }

  /** After silence as long as the timeout an answer that is late has come, and was thrown away. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve)
    })
  }
}
