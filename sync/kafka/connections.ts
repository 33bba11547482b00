/** One connection to each broker, opened when it is first needed, and an error for each way in which that can fail. */
import type { Connection, ConnectionOptions } from '@platformatic/kafka'
import { Frames } from './frames.ts'
import { type ConnectionFault, WireConnectionError } from './wire.ts'

type ConnectionClass = typeof Connection

/** A connection, and the way to send large requests on it. */
export interface Link {
  readonly connection: Connection
  readonly frames: Frames
}

export class Connections {
  readonly #ConnectionClass: ConnectionClass
  readonly #clientId: string
  readonly #options: ConnectionOptions
  readonly #requestMs: number
  readonly #configured: ReadonlySet<string>
  readonly #open = new Map<string, { connection: Connection; ready: Promise<Link> }>()
  #closed = false
  /** Connections that went away by themselves. */
  lost = 0

  /** @param configured addresses that the configuration names; all others were told by the cluster */
  constructor(
    ConnectionClass: ConnectionClass,
    clientId: string,
    options: ConnectionOptions & { requestTimeout: number },
    configured: ReadonlySet<string>,
  ) {
    this.#ConnectionClass = ConnectionClass
    this.#clientId = clientId
    this.#options = options
    this.#requestMs = options.requestTimeout
    this.#configured = configured
  }

  get(host: string, port: number): Promise<Link> {
    const address = `${host}:${port}`
    const existing = this.#open.get(address)
    if (existing !== undefined) return existing.ready
    if (this.#closed) return Promise.reject(this.fault(address, new Error('disconnected')))
    const connection = new this.#ConnectionClass(this.#clientId, this.#options)
    // An 'error' event that nobody hears would end the process.
    connection.on('error', () => {})
    connection.once('close', () => this.#forget(address, connection))
    const ready = Promise.resolve(connection.connect(host, port)).then(
      () => ({ connection, frames: new Frames(connection.socket, this.#clientId, this.#requestMs) }),
      (error) => {
        this.#forget(address, connection)
        throw this.fault(address, error)
      },
    )
    this.#open.set(address, { connection, ready })
    return ready
  }

  /** Breaks all connections; does not wait for what is still to be written, which a dead link never takes. */
  close(): void {
    this.#closed = true
    for (const { connection, ready } of this.#open.values()) {
      ready.catch(() => {})
      Promise.resolve(connection.close()).catch(() => {})
      connection.socket?.destroy()
    }
    this.#open.clear()
  }

  /** What a failed connection or request means. */
  fault(address: string, error: unknown): WireConnectionError {
    if (error instanceof WireConnectionError) return error
    const { fault, reason } = explain(error)
    return new WireConnectionError(fault, address, !this.#configured.has(address), reason, error)
  }

  #forget(address: string, connection: Connection): void {
    if (this.#open.get(address)?.connection !== connection) return
    this.#open.delete(address)
    this.lost++
  }
}

/** All errors in a chain of causes and of errors that stand for several. */
function* chain(error: unknown): Generator<Error & { code?: string }> {
  if (!(error instanceof Error)) return
  yield error
  if (error instanceof AggregateError) for (const inner of error.errors) yield* chain(inner)
  yield* chain(error.cause)
}

const TLS_CODES = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|EPROTO)/

function explain(error: unknown): { fault: ConnectionFault; reason: string } {
  const errors = [...chain(error)]
  const deepest = errors.at(-1)?.message ?? String(error)
  const coded = (test: (code: string) => boolean) =>
    errors.find(({ code }) => code !== undefined && test(code))
  const is = (...codes: string[]) => coded((code) => codes.includes(code))
  if (is('PLT_KFK_AUTHENTICATION') !== undefined) return { fault: 'auth', reason: deepest }
  const tls = coded((code) => TLS_CODES.test(code))
  if (tls !== undefined) return { fault: 'tls', reason: tls.message }
  if (is('ECONNREFUSED')) return { fault: 'refused', reason: 'nothing listens there (connection refused)' }
  if (is('ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA'))
    return { fault: 'name', reason: 'the name cannot be resolved' }
  if (is('EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN')) return { fault: 'route', reason: 'there is no route' }
  if (errors.some(({ message }) => /timed out/i.test(message)))
    return { fault: 'timeout', reason: 'no answer in time' }
  if (is('PLT_KFK_UNEXPECTED_CORRELATION_ID')) return { fault: 'protocol', reason: 'it does not speak Kafka' }
  return { fault: 'broken', reason: `the connection broke (${deepest})` }
}
