/**
 * Routes over node:http, for the control socket and for a TCP port (http/). A route answers with what answer.ts sends.
 */
import { setMaxListeners } from 'node:events'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { HeadwaterError } from '../../errors.ts'
import { UsageError } from '../errors.ts'
import { StreamPlaces } from '../stream-places.ts'
import { sendAnswer, sendError } from './answer.ts'

/** The socket takes 32 connections: those that ask how the broker is, or have it do something, find room beside readers. */
const STREAMS_MAX = 24

export interface RouteRequest {
  readonly query: URLSearchParams
  /** What stands in the place of `{name}` in the path. */
  readonly params: Readonly<Record<string, string>>
  /** The fields of a body of JSON; none where it has none. */
  readonly body: Readonly<Record<string, unknown>>
  /** Aborted when the client leaves or the server closes. */
  readonly signal: AbortSignal
}

export interface Route {
  readonly method: 'GET' | 'POST'
  /** A segment `{name}` stands for any text. */
  readonly path: string
  /** A reader's: it goes on for as long as he likes, and counts among them. */
  readonly isStream?: boolean
  handle(request: RouteRequest): Promise<object> | object
}

/** What a request asks for; paths are compared as they come, segment by segment: `..` is a name like others. */
export interface Target {
  readonly path: string
  readonly query: URLSearchParams
}

/** @throws UsageError for what is no path */
export function parseTarget(url: string): Target {
  const end = url.indexOf('?')
  const path = end < 0 ? url : url.slice(0, end)
  if (!path.startsWith('/'))
    throw new UsageError('the request names no path', 'ask for a path, such as /streams')
  return { path, query: new URLSearchParams(end < 0 ? '' : url.slice(end + 1)) }
}

/** @throws HeadwaterError HW_NO_ROUTE, UsageError */
export function findRoute<R extends Pick<Route, 'method' | 'path'>>(
  routes: readonly R[],
  method: string,
  path: string,
): { route: R; params: Record<string, string> } {
  for (const route of routes) {
    const params = route.method === method ? matched(route.path, path) : null
    if (params !== null) return { route, params }
  }
  throw noRoute(routes, method, path)
}

/** @returns the methods of a path that is there */
export function methodsOf(routes: readonly Pick<Route, 'method' | 'path'>[], path: string): string[] {
  return routes.filter((route) => matched(route.path, path) !== null).map(({ method }) => method)
}

function matched(template: string, path: string): Record<string, string> | null {
  if (template === path) return {}
  if (!template.includes('{')) return null
  const wanted = template.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return null
  const params: Record<string, string> = {}
  for (const [index, segment] of wanted.entries()) {
    if (!segment.startsWith('{')) {
      if (segment !== given[index]) return null
    } else params[segment.slice(1, -1)] = decoded(given[index]!)
  }
  return params
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new UsageError(`"${segment}" is not well encoded`, 'write % as %25')
  }
}

/** @param closing aborted when the server closes: ends the streams. */
export function routeListener(routes: readonly Route[], closing: AbortSignal): RequestListener {
  const streams = new StreamPlaces(STREAMS_MAX)
  return (request, response) => {
    answer(routes, streams, request, response, closing).catch((error: unknown) => sendError(response, error))
  }
}

async function answer(
  routes: readonly Route[],
  streams: StreamPlaces,
  request: IncomingMessage,
  response: ServerResponse,
  closing: AbortSignal,
): Promise<void> {
  request.resume()
  const { path, query } = parseTarget(request.url ?? '/')
  const { route, params } = findRoute(routes, request.method ?? '', path)
  const signal = signalOf(response, closing)
  const leave = route.isStream === true ? streams.take() : () => {}
  try {
    await sendAnswer(response, await route.handle({ query, params, body: {}, signal }), { signal })
  } finally {
    leave()
  }
}

/** Aborted when a server closes. As many answers wait for it as the server has places, which are counted there; Node says that more than ten are a leak. */
export function closingController(): AbortController {
  const closing = new AbortController()
  setMaxListeners(0, closing.signal)
  return closing
}

/** Nobody looks at why: without a reason each abort would make an error with a stack. */
const LEFT = 'the client left, or the server closes'

/**
 * Aborted when the client leaves, or by `closing`. Not `AbortSignal.any`: it hangs a weak reference on `closing` for every request, which only full
 * collections take away, and the memory of a broker that a dashboard asks grew by it.
 */
export function signalOf(response: Pick<ServerResponse, 'once'>, closing: AbortSignal): AbortSignal {
  const left = new AbortController()
  const leave = () => {
    closing.removeEventListener('abort', leave)
    left.abort(LEFT)
  }
  closing.addEventListener('abort', leave)
  response.once('close', leave)
  if (closing.aborted) leave()
  return left.signal
}

function noRoute(
  routes: readonly Pick<Route, 'method' | 'path'>[],
  method: string,
  path: string,
): HeadwaterError {
  const known = methodsOf(routes, path)
  const hint = known.length > 0 ? `it takes ${known.join(', ')}` : 'this version does not have it'
  return new HeadwaterError('HW_NO_ROUTE', `there is no ${method} ${path}`, { hint })
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
