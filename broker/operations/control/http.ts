/**
 * Routes over node:http, for the control socket and, later, for a TCP port. A route answers with a value, which is sent as
 * JSON, or with an endless or long text, which is sent as newline-delimited JSON at the reader's pace, or so with bytes.
 */

import { once } from 'node:events'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { HeadwaterError } from '../../errors.ts'
import { errorBody, UsageError } from '../errors.ts'

export interface RouteRequest {
  readonly query: URLSearchParams
  /** Aborted when the client leaves or the server closes. */
  readonly signal: AbortSignal
}

/** Pieces of newline-delimited JSON, each of whole lines. */
export interface LineStream {
  readonly lines: AsyncIterable<string>
}

/** Bytes that are no text, such as a backup's. A large piece need not outlive the asking for the next: it is written by then. */
export interface ByteStream {
  readonly bytes: AsyncIterable<Buffer>
}

export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  handle(request: RouteRequest): Promise<object> | object
}

/** An error after the first line cannot change the status any more: it comes as this trailer, JSON in URI encoding. */
export const ERROR_TRAILER = 'headwater-error'

const STATUS: Readonly<Record<string, number>> = {
  HW_USAGE: 400,
  HW_UNKNOWN_STREAM: 404,
  HW_UNKNOWN_PARTITION: 404,
  HW_UNKNOWN_UPSTREAM: 404,
  HW_UNKNOWN_CLIENT: 404,
  HW_UNKNOWN_KEY: 404,
  HW_NO_TABLE: 404,
  HW_OFFSET_GONE: 410,
  HW_REWIND_REFUSED: 409,
  HW_TABLE_UNAVAILABLE: 503,
  HW_NO_ROUTE: 404,
  HW_LOG_UNAVAILABLE: 503,
}

/** @param closing aborted when the server closes: ends the streams. */
export function routeListener(routes: readonly Route[], closing: AbortSignal): RequestListener {
  return (request, response) => {
    answer(routes, request, response, closing).catch((error: unknown) => fail(response, error))
  }
}

async function answer(
  routes: readonly Route[],
  request: IncomingMessage,
  response: ServerResponse,
  closing: AbortSignal,
): Promise<void> {
  request.resume()
  const url = new URL(request.url ?? '/', 'http://headwater')
  const route = routes.find(({ method, path }) => method === request.method && path === url.pathname)
  if (route === undefined) throw noRoute(routes, request.method ?? '', url.pathname)
  const left = new AbortController()
  response.once('close', () => left.abort())
  const signal = AbortSignal.any([left.signal, closing])
  const result = await route.handle({ query: url.searchParams, signal })
  if (isLineStream(result))
    await sendPieces(response, 'application/x-ndjson; charset=utf-8', result.lines, signal)
  else if (isByteStream(result)) await sendPieces(response, 'application/octet-stream', result.bytes, signal)
  else sendJson(response, 200, result)
}

function isLineStream(result: object): result is LineStream {
  return 'lines' in result && typeof result.lines === 'object'
}

function isByteStream(result: object): result is ByteStream {
  return 'bytes' in result && typeof result.bytes === 'object'
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(body)
}

async function sendPieces(
  response: ServerResponse,
  contentType: string,
  pieces: AsyncIterable<string | Buffer>,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, {
    'content-type': contentType,
    'cache-control': 'no-store',
    trailer: ERROR_TRAILER,
  })
  // The first line of a followed stream may be hours away.
  response.flushHeaders()
  try {
    for await (const piece of pieces) {
      if (signal.aborted) break
      // Bytes of their exact size: for text Node sets aside three times its length outside of the heap, and with that the
      // broker's memory grew by 40 MB while 200,000 records were read, with this by 20.
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
      if (!response.write(bytes)) await drained(response, signal)
    }
  } catch (error) {
    response.addTrailers({ [ERROR_TRAILER]: encodeURIComponent(JSON.stringify(errorBody(error))) })
  }
  response.end()
}

async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  try {
    await once(response, 'drain', { signal })
  } catch {
    // Aborted: the loop sees the signal.
  }
}

function noRoute(routes: readonly Route[], method: string, path: string): HeadwaterError {
  const known = routes.filter((route) => route.path === path).map((route) => route.method)
  const hint = known.length > 0 ? `it takes ${known.join(', ')}` : 'this version does not have it'
  return new HeadwaterError('HW_NO_ROUTE', `there is no ${method} ${path}`, { hint })
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = errorBody(error)
  sendJson(response, STATUS[body.code] ?? 500, { error: body })
}

// -- query parameters -----------------------------------------------------------------------------------------------

/** @throws UsageError where it is missing. */
export function textParameter(query: URLSearchParams, name: string): string {
  const text = query.get(name)
  if (text === null || text === '')
    throw new UsageError(`the parameter ${name} is missing`, `add ?${name}=...`)
  return text
}

/** @returns null where it is missing. @throws UsageError */
export function countParameter(query: URLSearchParams, name: string): number | null {
  const text = query.get(name)
  if (text === null) return null
  if (/^[0-9]{1,15}$/.test(text)) return Number(text)
  throw new UsageError(`${name} is "${text}"`, 'it is a whole number')
}
