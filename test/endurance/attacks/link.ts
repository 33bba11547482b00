/** A connection of an attacker: TCP, or WebSocket around the same bytes. It takes what comes, and notes nothing but how much. */
import { connect, type Socket } from 'node:net'
import { WebSocket } from 'ws'

const OPEN_MS_MAX = 5000
/** More than this is not piled up here: who attacks waits until it is gone. */
const BUFFERED_BYTES_MAX = 4_000_000
const POLL_MS = 20

export interface Link {
  readonly isClosed: boolean
  readonly received: number
  write(bytes: Buffer): void
  /** Resolves when something comes, the other side ends it, or after so long. */
  something(ms: number): Promise<void>
  /** Reads no more. */
  stall(): void
  /** Says goodbye. */
  end(): void
  destroy(): void
}

abstract class Watched {
  isClosed = false
  received = 0
  #wake: () => void = () => {}

  protected came(count: number): void {
    this.received += count
    this.#wake()
  }

  protected closed(): void {
    this.isClosed = true
    this.#wake()
  }

  something(ms: number): Promise<void> {
    if (this.isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

export class TcpLink extends Watched implements Link {
  readonly socket: Socket

  constructor(port: number, localAddress?: string) {
    super()
    const from = localAddress === undefined ? {} : { localAddress }
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, ...from })
    this.socket.on('error', () => {})
    this.socket.on('data', (bytes) => this.came(bytes.length))
    this.socket.on('close', () => this.closed())
  }

  write(bytes: Buffer): void {
    if (!this.isClosed && this.socket.writable) this.socket.write(bytes)
  }

  stall(): void {
    this.socket.pause()
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Until there is room for more. */
  async drained(isOver: () => boolean): Promise<void> {
    while (!this.isClosed && !isOver() && this.socket.writableLength > BUFFERED_BYTES_MAX) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }
}

export class WebSocketLink extends Watched implements Link {
  readonly socket: WebSocket
  /** Written before it was open. */
  #early: Buffer[] = []

  constructor(port: number) {
    super()
    const options = { handshakeTimeout: OPEN_MS_MAX, perMessageDeflate: false }
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, 'mqtt', options)
    this.socket.on('error', () => {})
    this.socket.on('message', (data: Buffer) => this.came(data.length))
    this.socket.on('close', () => this.closed())
    this.socket.on('open', () => {
      for (const bytes of this.#early.splice(0)) this.socket.send(bytes)
    })
  }

  write(bytes: Buffer): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes)
    else if (this.socket.readyState === WebSocket.CONNECTING) this.#early.push(bytes)
  }

  stall(): void {
    this.socket.pause()
  }

  end(): void {
    this.socket.close()
  }

  destroy(): void {
    this.socket.terminate()
  }
}
