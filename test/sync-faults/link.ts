/**
 * The link between an edge and its cluster, as a proxy on loopback: it forwards bytes, until it is told to treat them as links do. Each
 * connection is two directions; a fault holds for those that are open and those that come while it lasts.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export type Direction = 'up' | 'down'

/** How bytes pass at the moment; times in ms. */
interface Weather {
  /** Nothing passes, nothing is closed: as behind a router that has forgotten the connection. */
  isStalled: boolean
  latencyMs: number
  bytesPerSecond: number
  /** New connections are reset. */
  isDown: boolean
}

const FAIR: Weather = {
  isStalled: false,
  latencyMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  isDown: false,
}
/** What a stalled direction holds before its sender is held back. */
const HELD_BYTES_MAX = 1024 * 1024

export class Link {
  readonly port: number
  readonly #server: Server
  readonly #pipes = new Set<Pipe>()
  weather: Weather = { ...FAIR }
  /** Bytes that passed, by direction. */
  readonly passed = { up: 0, down: 0 }
  connections = 0
  /** After so many more bytes in that direction all connections are reset. */
  #resetAfter: { direction: Direction; bytes: number } | null = null
  /** A bit of the next bytes that match is turned over on its way up. */
  #flip: { at: Buffer; done: () => void } | null = null
  /** Faults of the kind that waits for its byte that struck. */
  flipped = 0
  resets = 0

  static async open(targetPort: number, port: number): Promise<Link> {
    const server = createServer()
    const link = new Link(server, targetPort, port)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    return link
  }

  private constructor(server: Server, targetPort: number, port: number) {
    this.#server = server
    this.port = port
    server.on('connection', (edge) => {
      this.connections++
      if (this.weather.isDown) {
        edge.on('error', () => {})
        edge.resetAndDestroy()
        return
      }
      const cluster = dial({ host: '127.0.0.1', port: targetPort })
      const pipe: Pipe = { edge, cluster }
      this.#pipes.add(pipe)
      const close = () => {
        this.#pipes.delete(pipe)
        edge.destroy()
        cluster.destroy()
      }
      for (const socket of [edge, cluster]) {
        socket.setNoDelay(true)
        socket.on('error', close)
        socket.on('close', close)
      }
      void this.#forward('up', edge, cluster).finally(close)
      void this.#forward('down', cluster, edge).finally(close)
    })
  }

  /** All is well from now on; what was held passes. */
  heal(): void {
    this.weather = { ...FAIR }
    this.#resetAfter = null
    this.#flip?.done()
    this.#flip = null
  }

  /** Ends all connections: with a reset, or as if both sides had closed. */
  cut(how: 'reset' | 'fin'): void {
    for (const { edge, cluster } of this.#pipes) {
      if (how === 'reset') {
        edge.resetAndDestroy()
        cluster.resetAndDestroy()
      } else {
        edge.end()
        cluster.end()
      }
    }
    this.#pipes.clear()
  }

  resetAfter(direction: Direction, bytes: number): void {
    this.#resetAfter = { direction, bytes }
  }

  /** Resolves once `resetAfter` has struck, or the time is over. */
  async struck(msMax: number): Promise<void> {
    const deadline = performance.now() + msMax
    while (this.#resetAfter !== null && performance.now() < deadline) await delay(5)
  }

  /** Turns one bit over in the next bytes on their way up that hold `marker`, just behind it. */
  flipBehind(marker: string): Promise<void> {
    return new Promise((done) => {
      this.#flip = { at: Buffer.from(marker), done }
    })
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.cut('reset')
    await closed
  }

  async #forward(direction: Direction, from: Socket, to: Socket): Promise<void> {
    let held = 0
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        held += chunk.length
        while (this.weather.isStalled && !to.destroyed && held <= HELD_BYTES_MAX) await delay(5)
        held = 0
        const { latencyMs, bytesPerSecond } = this.weather
        const ms = latencyMs + (chunk.length / bytesPerSecond) * 1000
        if (ms > 0) await delay(ms)
        if (this.#isCutBy(direction, chunk, to)) return
        if (direction === 'up') this.#turnOver(chunk)
        this.passed[direction] += chunk.length
        if (!to.write(chunk))
          await new Promise<void>((resolve) => {
            to.once('drain', resolve)
            to.once('close', resolve)
          })
      }
      to.end()
    } catch {
      // a connection that ends takes its other half along
    }
  }

  /** A part of the chunk passes, and then nothing: a request or an answer that stops at any byte. */
  #isCutBy(direction: Direction, chunk: Buffer, to: Socket): boolean {
    const reset = this.#resetAfter
    if (reset === null || reset.direction !== direction) return false
    if (chunk.length < reset.bytes) {
      reset.bytes -= chunk.length
      return false
    }
    this.#resetAfter = null
    this.resets++
    to.write(chunk.subarray(0, reset.bytes), () => this.cut('reset'))
    return true
  }

  #turnOver(chunk: Buffer): void {
    if (this.#flip === null) return
    const place = chunk.indexOf(this.#flip.at)
    const at = place + this.#flip.at.length
    if (place < 0 || at >= chunk.length) return
    chunk[at]! ^= 1
    this.flipped++
    this.#flip.done()
    this.#flip = null
  }
}

interface Pipe {
  readonly edge: Socket
  readonly cluster: Socket
}
