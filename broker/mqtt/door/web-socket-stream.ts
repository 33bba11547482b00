/**
 * A WebSocket as a stream of bytes. MQTT packets and WebSocket frames need not coincide [MQTT-6.0.0-2]; only binary frames carry MQTT: a text frame
 * ends the connection [MQTT-6.0.0-1]. The stream of the package `ws` would hand its text over first.
 */
import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { HELD_EVENT } from '../connection/frame-reader.ts'

const CLOSE_NORMAL = 1000
const CLOSE_UNSUPPORTED_DATA = 1003

/** A message that is not whole: so often it is told what it holds. */
const TOLD_BYTES = 16 * 1024
/** Of a control frame, beside its data: two bytes and the mask (RFC 6455, section 5.2). */
const CONTROL_BYTES = 6

type Done = (error?: Error | null) => void

export class WebSocketStream extends Duplex {
  readonly #socket: WebSocket
  /** What came since the last message was whole: `ws` puts it together and does not say how much it has. */
  #heldBytes = 0
  #toldBytes = 0

  /** @param below what the WebSocket's frames come in by */
  constructor(socket: WebSocket, below: Duplex) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    // before `ws` gets it: what makes a message whole is not held
    below.prependListener('data', (bytes: Buffer) => this.#holds(this.#heldBytes + bytes.length))
    const onControl = (data: Buffer) => this.#holds(this.#heldBytes - data.length - CONTROL_BYTES)
    socket.on('ping', onControl)
    socket.on('pong', onControl)
    socket.binaryType = 'nodebuffer'
    socket.on('message', (data, isBinary) => {
      this.#holds(0)
      if (this.destroyed || this.readableEnded) return
      if (!isBinary) socket.close(CLOSE_UNSUPPORTED_DATA, 'MQTT is binary')
      else if (!this.push(data)) socket.pause()
    })
    // what is too long or malformed ends here; `close` follows
    socket.on('error', () => {})
    socket.on('close', () => {
      this.push(null)
      this.destroy()
    })
  }

  #holds(bytes: number): void {
    this.#heldBytes = Math.max(0, bytes)
    const isWorthTelling =
      Math.abs(this.#heldBytes - this.#toldBytes) >= TOLD_BYTES || (bytes === 0 && this.#toldBytes > 0)
    if (!isWorthTelling) return
    this.#toldBytes = this.#heldBytes
    this.emit(HELD_EVENT, this.#toldBytes)
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    if (this.#socket.readyState !== this.#socket.OPEN) done()
    else this.#socket.send(chunk, { binary: true }, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      done()
      return
    }
    const last = chunks.length - 1
    for (let i = 0; i < last; i++) this.#socket.send(chunks[i]!.chunk, { binary: true })
    this.#socket.send(chunks[last]!.chunk, { binary: true }, done)
  }

  override _final(done: Done): void {
    this.#socket.close(CLOSE_NORMAL)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.terminate()
    done(error)
  }
}
