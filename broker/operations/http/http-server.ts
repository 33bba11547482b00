/**
 * HTTP on a TCP port: the page, the API, the metrics. It holds what anybody on a network may try: connections, requests at once, headers, bodies and
 * the time for each have limits, so a client that sends slowly, or reads slowly, is ended.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { formatListenAddress, type ListenAddress, listenError } from '../../config/address.ts'
import { Reply, sendAnswer, sendError, sendReply } from '../control/answer.ts'
import { closingController, findRoute, methodsOf, parseTarget, signalOf } from '../control/http.ts'
import { errorBody } from '../errors.ts'
import { StreamPlaces } from '../stream-places.ts'
import { HttpRefusedError } from './errors.ts'
import type { Guard } from './guard.ts'
import type { ApiHandler } from './handlers.ts'
import type { PageFiles } from './page-files.ts'
import { type PlaceLimits, Places } from './places.ts'
import { readBody } from './request-body.ts'
import { API_ROUTES, type ApiRouteId } from './route-table.ts'

const PLACES: PlaceLimits = { connectionsMax: 64, fromOutsideMax: 48, perAddressMax: 16 }
/** Records, tables and compactions that are being answered; each may hold 4 MB of the log. */
const STREAMS_MAX = 8
/** On one connection, sent before the answers to those before. */
const PIPELINED_MAX = 8
const HEADER_BYTES_MAX = 16_384
const TIMES: HttpTimes = {
  headersMsMax: 10_000,
  requestMsMax: 20_000,
  checkMs: 5_000,
  keepAliveMs: 30_000,
  silentMsMax: 60_000,
}
const TCP_KEEP_ALIVE_MS = 60_000
const CLOSE_MS_MAX = 500

const HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

export interface HttpTimes {
  /** From the connection's begin, or a request's, to the end of its headers, and of its body; looked at now and then. */
  readonly headersMsMax: number
  readonly requestMsMax: number
  readonly checkMs: number
  /** Between two requests. */
  readonly keepAliveMs: number
  /** Nothing went either way, while something was to. */
  readonly silentMsMax: number
}

export interface HttpParts {
  readonly guard: Guard
  readonly handlers: Readonly<Record<ApiRouteId, ApiHandler>>
  readonly files: PageFiles
  /** In place of the usual ones. */
  readonly times?: HttpTimes
  /** Whether an address is this machine's; by its number where it is not said. */
  readonly isLocal?: (address: string) => boolean
}

export class HttpServer {
  readonly #server: Server
  readonly #parts: HttpParts
  readonly #closing = closingController()
  readonly #places: Places
  readonly #times: HttpTimes
  readonly #pending = new WeakMap<Socket, number>()
  readonly #streams = new StreamPlaces(STREAMS_MAX)

  private constructor(parts: HttpParts) {
    this.#parts = parts
    this.#places = new Places(PLACES, parts.isLocal)
    this.#times = parts.times ?? TIMES
    const options = {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: this.#times.headersMsMax,
      requestTimeout: this.#times.requestMsMax,
      connectionsCheckingInterval: this.#times.checkMs,
      keepAliveTimeout: this.#times.keepAliveMs,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
    }
    this.#server = createServer(options, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => this.#fail(request, response, error))
    })
    this.#server.setTimeout(this.#times.silentMsMax)
    this.#server.on('connection', (socket) => this.#place(socket))
  }

  /** @throws ListenError */
  static async start(address: ListenAddress, parts: HttpParts): Promise<HttpServer> {
    const server = new HttpServer(parts)
    await server.#listen(address)
    return server
  }

  /** As it is bound: `127.0.0.1:9180`. */
  get address(): string {
    const { address, port } = this.#server.address() as { address: string; port: number }
    return formatListenAddress({ host: address, port })
  }

  /** Ends streams under way; a client that does not read is not waited for. */
  async close(): Promise<void> {
    this.#closing.abort()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const timer = setTimeout(() => this.#server.closeAllConnections(), CLOSE_MS_MAX)
    await closed
    clearTimeout(timer)
  }

  async #listen({ host, port }: ListenAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) =>
        reject(listenError({ host, port }, error, 'http.address')),
      )
      this.#server.listen(host === null ? { port } : { host, port }, resolve)
    })
    this.#server.removeAllListeners('error')
    this.#server.on('error', () => {})
  }

  #place(socket: Socket): void {
    const { remoteAddress } = socket
    // one that has gone already
    const leave = remoteAddress === undefined ? null : this.#places.take(remoteAddress)
    if (leave === null) socket.destroy()
    else socket.once('close', leave)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    if (!this.#begins(request.socket, response)) return
    // two servers on the way may each believe another one
    if ((request.headersDistinct.host?.length ?? 0) > 1)
      throw new HttpRefusedError('the request has more than one Host', 'send one', 400)
    const { guard, files, handlers } = this.#parts
    const asker = { address: request.socket.remoteAddress ?? '', headers: request.headers }
    const granted = await guard.granted(asker)
    const { path, query } = parseTarget(request.url ?? '')
    // a browser asks with HEAD what GET would answer
    const isHead = request.method === 'HEAD'
    const method = isHead ? 'GET' : (request.method ?? '')
    const file = method === 'GET' ? await files.find(path, request.headers) : null
    if (file !== null) {
      sendReply(response, file)
      return
    }
    const { route, params } = findRoute(API_ROUTES, method, path)
    guard.check(route.access, granted, asker)
    if (isHead && route.answer === 'lines') {
      sendReply(response, new Reply(200, 'application/x-ndjson; charset=utf-8', ''))
      return
    }
    const body = method === 'POST' ? await readBody(request) : {}
    const isStream = route.answer === 'lines'
    const release = isStream ? this.#takeStream(request.socket) : () => {}
    try {
      const closing = this.#closing.signal
      const signal = isStream ? signalOf(response, closing) : closing
      const result = await handlers[route.id]({ query, params, body, signal, granted })
      await sendAnswer(response, result, {
        signal,
        stallMsMax: this.#times.silentMsMax,
        endsWithErrorLine: true,
      })
    } finally {
      release()
    }
  }

  /** @returns false where the connection is ended: it asks more and more without waiting for answers */
  #begins(socket: Socket, response: ServerResponse): boolean {
    const pending = (this.#pending.get(socket) ?? 0) + 1
    this.#pending.set(socket, pending)
    response.once('close', () => this.#pending.set(socket, (this.#pending.get(socket) ?? 1) - 1))
    if (pending <= PIPELINED_MAX) return true
    socket.destroy()
    return false
  }

  /** A stream may be silent for hours. @returns the way to give its place back @throws HttpLimitError */
  #takeStream(socket: Socket): () => void {
    const leave = this.#streams.take()
    socket.setTimeout(0)
    return () => {
      socket.setTimeout(this.#times.silentMsMax)
      leave()
    }
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const { code } = errorBody(error)
    if (code === 'HW_NO_ROUTE') {
      const methods = methodsOf(API_ROUTES, (request.url ?? '').split('?', 1)[0]!)
      if (methods.length > 0) {
        const allow = methods.includes('GET') ? [...methods, 'HEAD'] : methods
        sendReply(
          response,
          withHeaders(Reply.json(405, { error: errorBody(error) }), { allow: allow.join(', ') }),
        )
        return
      }
    }
    // what is left of a body that is not read would be taken for the next request
    const connection: Record<string, string> = request.complete ? {} : { connection: 'close' }
    const more: Record<string, string> =
      code === 'HW_UNAUTHORIZED'
        ? { 'www-authenticate': 'Bearer realm="headwater"' }
        : code === 'HW_HTTP_LIMIT'
          ? { 'retry-after': '10' }
          : {}
    sendError(response, error, { ...connection, ...more })
  }
}

function withHeaders({ status, contentType, body }: Reply, headers: Record<string, string>): Reply {
  return new Reply(status, contentType, body, headers)
}
