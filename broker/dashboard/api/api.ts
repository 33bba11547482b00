/** Asks the broker's HTTP API. All that the page knows comes through here. */
import { ApiError, AwayError, TokenError } from './faults.ts'
import { LineSplitter } from './lines.ts'

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>

/** Where the token is kept; the page has sessionStorage for it. */
export interface TokenPlace {
  get(): string | null
}

export interface ApiOptions {
  readonly fetch: typeof globalThis.fetch
  readonly token: TokenPlace
  /** Answers that are not streams have to come within it. */
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 15_000

export class Api {
  readonly #fetch: typeof globalThis.fetch
  readonly #token: TokenPlace
  readonly #timeoutMs: number

  constructor({ fetch, token, timeoutMs = TIMEOUT_MS }: ApiOptions) {
    this.#fetch = fetch
    this.#token = token
    this.#timeoutMs = timeoutMs
  }

  /** @throws ApiError, AwayError, TokenError */
  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#json<T>('GET', path, query)
  }

  /** @throws the same */
  post<T>(path: string, body: object = {}): Promise<T> {
    return this.#json<T>('POST', path, {}, body)
  }

  /**
   * The objects of a stream as they come, many at a time; the next piece is read when it is asked for, so that a slow reader holds back
   * the broker and not its own memory.
   * @param onOpen the broker has found the place: what is appended from now on is among it
   * @throws the same; nothing once the signal is aborted
   */
  async *lines<T>(
    method: 'GET' | 'POST',
    path: string,
    query: Query,
    signal: AbortSignal,
    onOpen: () => void = () => {},
  ): AsyncGenerator<T[], void, void> {
    try {
      const response = await this.#open(method, path, query, signal, method === 'POST' ? {} : undefined)
      onOpen()
      const reader = response.body!.getReader()
      const splitter = new LineSplitter()
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        const lines = splitter.push(piece.value).map((line) => JSON.parse(line) as T)
        for (const line of lines) throwFault(line)
        if (lines.length > 0) yield lines
      }
    } catch (error) {
      if (signal.aborted) return
      throw asAway(error)
    }
  }

  async #json<T>(method: string, path: string, query: Query, body?: object): Promise<T> {
    try {
      const response = await this.#open(method, path, query, AbortSignal.timeout(this.#timeoutMs), body)
      return (await response.json()) as T
    } catch (error) {
      throw asAway(error)
    }
  }

  async #open(
    method: string,
    path: string,
    query: Query,
    signal: AbortSignal,
    body?: object,
  ): Promise<Response> {
    const token = this.#token.get()
    const headers: Record<string, string> = {}
    if (token !== null) headers.authorization = `Bearer ${token}`
    if (body !== undefined) headers['content-type'] = 'application/json'
    const response = await this.#fetch(`${path}${queryText(query)}`, {
      method,
      headers,
      signal,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (response.ok) return response
    throw await refusal(response)
  }
}

/** A path's part of something that has a name from outside. */
export function segment(name: string): string {
  return encodeURIComponent(name)
}

function queryText(query: Query): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') parameters.set(name, String(value))
  }
  const text = parameters.toString()
  return text === '' ? '' : `?${text}`
}

interface Fault {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string }
}

async function refusal(response: Response): Promise<Error> {
  const fault = (await response.json().catch(() => null)) as Fault | null
  if (response.status === 401) {
    const { code = '', message = 'this takes a token', hint = '' } = fault?.error ?? {}
    return new TokenError(401, code, message, hint)
  }
  if (fault?.error?.message !== undefined) return faultError(response.status, fault)
  // A proxy in between that finds nobody behind it.
  if (response.status >= 502 && response.status <= 504) return new AwayError('the broker cannot be reached')
  return new ApiError(response.status, '', `the broker answers with status ${response.status}`, '')
}

function faultError(status: number, { error }: Fault): ApiError {
  return new ApiError(status, error.code, error.message, error.hint ?? '')
}

/** A stream that has begun can tell a fault in its last line alone. */
function throwFault(line: unknown): void {
  if (typeof line !== 'object' || line === null || !('error' in line)) return
  const { error } = line as Partial<Fault>
  if (typeof error?.code === 'string') throw faultError(200, { error })
}

/** Whatever fetch itself throws is that nobody answered, or not to the end. */
function asAway(error: unknown): Error {
  if (error instanceof ApiError || error instanceof AwayError) return error
  return new AwayError('the broker cannot be reached', { cause: error })
}
