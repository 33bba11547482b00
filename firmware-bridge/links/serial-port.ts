/** A serial port, as the bridge sees it; a test hands in others. */
export interface SerialSettings {
  /** Better one of /dev/serial/by-id or by-path than /dev/ttyUSB0, which is the next port's tomorrow. */
  readonly port: string
  readonly baudRate: number
  readonly dataBits: 7 | 8
  readonly parity: 'none' | 'even' | 'odd'
  readonly stopBits: 1 | 2
  /** Flow control by the lines RTS and CTS. */
  readonly rtscts: boolean
  /** Pulse DTR when the port is opened: an Arduino begins anew. */
  readonly resetOnOpen: boolean
}

export interface SerialPort {
  /** One at a time. Resolves when the system has taken all of it; rejects when the port is lost. */
  write(bytes: Uint8Array): Promise<void>
  /** Reading stops; what the system cannot hold is lost, unless flow control stops the other side. */
  pause(): void
  resume(): void
  /** What was not sent yet is thrown away. */
  close(): Promise<void>
}

export interface SerialPortListener {
  /** @param chunk valid during the call only */
  onData(chunk: Uint8Array): void
  /** Once, unless `close` was called before: unplugged, or failed. */
  onClosed(reason: string): void
}

/** @throws PortFailure */
export type OpenSerialPort = (settings: SerialSettings, listener: SerialPortListener) => Promise<SerialPort>

/**
 * `absent`: there is no such port now. `permission`: this user may not open it. `busy`: another program has it.
 * `unusable`: it is there and does not work: no serial port, a baud rate that it does not have, …
 */
export type PortFailureKind = 'absent' | 'permission' | 'busy' | 'unusable'

/** Expected, and told as a line of its own by who tries again; never the bridge's end. */
export class PortFailure extends Error {
  readonly kind: PortFailureKind

  constructor(kind: PortFailureKind, message: string) {
    super(message)
    this.name = 'PortFailure'
    this.kind = kind
  }
}
