/**
 * HTTP on a TCP port: the page, the API, the metrics. It holds what anybody on a network may try: connections, requests at once, headers, bodies and
 * the time for each have limits, so a client that sends slowly, or reads slowly, is ended.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { formatListenAddress, type ListenAddress, listenError } from '../../config/address.ts'
import { countedAddress, isLocal } from '../../mqtt/door/counted-address.ts'
import { Reply, sendAnswer, sendError, sendReply } from '../control/answer.ts'
import { findRoute, methodsOf, parseTarget, signalOf } from '../control/http.ts'
import { errorBody } from '../errors.ts'
import { HttpLimitError, HttpRefusedError } from './errors.ts'
import type { Guard } from './guard.ts'
import type { ApiHandler } from './handlers.ts'
import type { PageFiles } from './page-files.ts'
import { readBody } from './request-body.ts'
import { API_ROUTES, type ApiRouteId } from './route-table.ts'

const CONNECTIONS_MAX = 64
/** Of all other machines together: this one's scraper and its owner get in, whoever else holds connections. */
const CONNECTIONS_FROM_OUTSIDE_MAX = 48
/** Of one address that is not this machine's. */
const CONNECTIONS_PER_ADDRESS_MAX = 16
/** Records, tables and compactions that are being answered; each may hold 4 MB of the log. */
const STREAMS_MAX = 8
/** On one connection, sent before the answers to those before. */
const PIPELINED_MAX = 8
const HEADER_BYTES_MAX = 16_384
const HEADERS_MS_MAX = 10_000
const REQUEST_MS_MAX = 20_000
const CHECK_MS = 5_000
const KEEP_ALIVE_MS = 30_000
/** Nothing went either way, while something was to. */
const SILENT_MS_MAX = 60_000
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

export interface HttpParts {
  readonly guard: Guard
  readonly handlers: Readonly<Record<ApiRouteId, ApiHandler>>
  readonly files: PageFiles
}

export class HttpServer {
  readonly #server: Server
  readonly #parts: HttpParts
  readonly #closing = new AbortController()
  readonly #byAddress = new Map<string, number>()
  readonly #pending = new WeakMap<Socket, number>()
  #streams = 0
  #fromOutside = 0

  private constructor(parts: HttpParts) {
    this.#parts = parts
    const options = {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
    }
    this.#server = createServer(options, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => this.#fail(request, response, error))
    })
    this.#server.maxConnections = CONNECTIONS_MAX
    this.#server.setTimeout(SILENT_MS_MAX)
    this.#server.on('connection', (socket) => this.#count(socket))
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

  #count(socket: Socket): void {
    const { remoteAddress } = socket
    if (remoteAddress === undefined || isLocal(remoteAddress)) return
    const address = countedAddress(remoteAddress)
    const count = (this.#byAddress.get(address) ?? 0) + 1
    this.#byAddress.set(address, count)
    this.#fromOutside++
    socket.once('close', () => {
      this.#fromOutside--
      const left = (this.#byAddress.get(address) ?? 1) - 1
      if (left === 0) this.#byAddress.delete(address)
      else this.#byAddress.set(address, left)
    })
    if (count > CONNECTIONS_PER_ADDRESS_MAX || this.#fromOutside > CONNECTIONS_FROM_OUTSIDE_MAX)
      socket.destroy()
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
      await sendAnswer(response, result, { signal, stallMsMax: SILENT_MS_MAX, endsWithErrorLine: true })
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
    if (this.#streams >= STREAMS_MAX) {
      throw new HttpLimitError(
        `${STREAMS_MAX} others read records, tables or compact now`,
        'end one of them, or try again later',
        503,
      )
    }
    this.#streams++
    socket.setTimeout(0)
    return () => {
      socket.setTimeout(SILENT_MS_MAX)
      this.#streams--
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
