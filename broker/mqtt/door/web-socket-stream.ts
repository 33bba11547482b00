/**
 * A WebSocket as a stream of bytes. MQTT packets and WebSocket frames need not coincide [MQTT-6.0.0-2]; only binary frames carry MQTT: a text frame
 * ends the connection [MQTT-6.0.0-1]. The stream of the package `ws` would hand its text over first.
 */
import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

const CLOSE_NORMAL = 1000
const CLOSE_UNSUPPORTED_DATA = 1003

type Done = (error?: Error | null) => void

export class WebSocketStream extends Duplex {
  readonly #socket: WebSocket

  constructor(socket: WebSocket) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    socket.binaryType = 'nodebuffer'
    socket.on('message', (data, isBinary) => {
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
