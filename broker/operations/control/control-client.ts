/** Talks to the control socket of a running broker. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import {
  AS_ITS_USER,
  ControlError,
  type ErrorBody,
  FileAccessError,
  NotRunningError,
  RemoteError,
} from '../errors.ts'
import { ERROR_TRAILER } from './answer.ts'
import { findSocketPath } from './socket-path.ts'

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>

export class ControlClient {
  readonly #socketPath: string
  readonly #dataDirectory: string

  private constructor(dataDirectory: string, socketPath: string) {
    this.#dataDirectory = dataDirectory
    this.#socketPath = socketPath
  }

  static async of(dataDirectory: string): Promise<ControlClient> {
    return new ControlClient(dataDirectory, await findSocketPath(dataDirectory))
  }

  /** @throws NotRunningError where nobody listens, RemoteError with the broker's own error, ControlError */
  async json<T>(method: 'GET' | 'POST', path: string, query: Query = {}): Promise<T> {
    const response = await this.#open(method, path, query)
    return JSON.parse(await text(response)) as T
  }

  /**
   * Pieces of newline-delimited JSON, as they come.
   * @param signal leaves: the broker ends the stream
   */
  async *pieces(
    method: 'GET' | 'POST',
    path: string,
    query: Query,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void, void> {
    const response = await this.#open(method, path, query, signal)
    try {
      yield* response as AsyncIterable<Buffer>
    } catch (error) {
      if (signal.aborted) return
      throw new ControlError('the broker ended the connection before the end', error)
    } finally {
      response.destroy()
    }
    const trailer = response.trailers[ERROR_TRAILER]
    if (trailer !== undefined) throw new RemoteError(JSON.parse(decodeURIComponent(trailer)) as ErrorBody)
  }

  /** The same, one parsed line at a time. */
  async *lines<T>(
    method: 'GET' | 'POST',
    path: string,
    query: Query,
    signal: AbortSignal,
  ): AsyncGenerator<T, void, void> {
    for await (const line of splitLines(this.pieces(method, path, query, signal))) {
      yield JSON.parse(line) as T
    }
  }

  async #open(method: string, path: string, query: Query, signal?: AbortSignal): Promise<IncomingMessage> {
    const parameters = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined) parameters.set(name, String(value))
    }
    const outgoing = request({
      socketPath: this.#socketPath,
      method,
      path: `${path}?${parameters}`,
      ...(signal === undefined ? {} : { signal }),
    })
    outgoing.end()
    let response: IncomingMessage
    try {
      ;[response] = (await once(outgoing, 'response')) as [IncomingMessage]
    } catch (error) {
      throw this.#connectError(error as NodeJS.ErrnoException)
    }
    outgoing.on('error', () => {})
    if (response.statusCode === 200) return response
    const body = JSON.parse(await text(response)) as { error: ErrorBody }
    throw new RemoteError(body.error)
  }

  #connectError(error: NodeJS.ErrnoException): Error {
    switch (error.code) {
      // ECONNREFUSED: the socket of a process that was killed.
      case 'ENOENT':
      case 'ENOTDIR':
      case 'ECONNREFUSED':
        return new NotRunningError(this.#dataDirectory)
      case 'EACCES':
      case 'EPERM':
        return new FileAccessError(
          this.#socketPath,
          'no permission to ask the broker there',
          AS_ITS_USER,
          error,
        )
      default:
        return new ControlError(`no answer from the broker: ${error.message}`, error)
    }
  }
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** Whole lines out of pieces that are cut anywhere, also inside a character. */
export async function* splitLines(
  pieces: AsyncIterable<Buffer | string>,
): AsyncGenerator<string, void, void> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const piece of pieces) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
    let from = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      const line = bytes.subarray(from, end)
      yield (rest.length > 0 ? Buffer.concat([rest, line]) : line).toString('utf8')
      rest = Buffer.alloc(0)
      from = end + 1
    }
    if (from < bytes.length) rest = Buffer.concat([rest, bytes.subarray(from)])
  }
  if (rest.length > 0) yield rest.toString('utf8')
}
