/**
 * How an answer goes out: a value as JSON; an endless or long text as newline-delimited JSON at the reader's pace, or so bytes; a reply that
 * has a status and a type of its own.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { errorBody } from '../errors.ts'

/** Pieces of newline-delimited JSON, each of whole lines. */
export interface LineStream {
  readonly lines: AsyncIterable<string>
}

/** Bytes that are no text, such as a backup's. A large piece need not outlive the asking for the next: it is written by then. */
export interface ByteStream {
  readonly bytes: AsyncIterable<Buffer>
}

/** Neither a 200 nor JSON, or both. */
export class Reply {
  readonly status: number
  readonly contentType: string
  readonly body: string | Buffer
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    contentType: string,
    body: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.status = status
    this.contentType = contentType
    this.body = body
    this.headers = headers
  }

  static json(status: number, value: unknown): Reply {
    return new Reply(status, JSON_TYPE, `${JSON.stringify(value)}\n`)
  }
}

export interface SendOptions {
  /** Aborted when the client leaves or the server closes. */
  readonly signal: AbortSignal
  /** A reader that takes nothing for so long has its connection ended. */
  readonly stallMsMax?: number
  /** A fault after the first line is the last line, too: browsers see no trailers. */
  readonly endsWithErrorLine?: boolean
}

export const JSON_TYPE = 'application/json; charset=utf-8'

/** An error after the first line cannot change the status any more: it comes as this trailer, JSON in URI encoding. */
export const ERROR_TRAILER = 'headwater-error'

const STATUS: Readonly<Record<string, number>> = {
  HW_USAGE: 400,
  HW_UNAUTHORIZED: 401,
  HW_UNKNOWN_STREAM: 404,
  HW_UNKNOWN_PARTITION: 404,
  HW_UNKNOWN_UPSTREAM: 404,
  HW_UNKNOWN_CLIENT: 404,
  HW_UNKNOWN_KEY: 404,
  HW_NO_TABLE: 404,
  HW_NO_ROUTE: 404,
  HW_NOT_COMPACTED: 409,
  HW_REWIND_REFUSED: 409,
  HW_OFFSET_GONE: 410,
  HW_TABLE_UNAVAILABLE: 503,
  HW_LOG_UNAVAILABLE: 503,
}

export async function sendAnswer(
  response: ServerResponse,
  result: object,
  options: SendOptions,
): Promise<void> {
  if (result instanceof Reply) sendReply(response, result)
  else if (isLineStream(result))
    await sendPieces(response, 'application/x-ndjson; charset=utf-8', result.lines, options)
  else if (isByteStream(result)) await sendPieces(response, 'application/octet-stream', result.bytes, options)
  else sendReply(response, Reply.json(200, result))
}

/** @param headers beside those of an answer */
export function sendError(
  response: ServerResponse,
  error: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = errorBody(error)
  const status = (error as { status?: number }).status ?? STATUS[body.code] ?? 500
  const { contentType, body: text } = Reply.json(status, { error: body })
  sendReply(response, new Reply(status, contentType, text, headers))
}

function isLineStream(result: object): result is LineStream {
  return 'lines' in result && typeof result.lines === 'object'
}

function isByteStream(result: object): result is ByteStream {
  return 'bytes' in result && typeof result.bytes === 'object'
}

export function sendReply(response: ServerResponse, { status, contentType, body, headers }: Reply): void {
  response.writeHead(status, {
    'content-type': contentType,
    ...(status === 304 ? {} : { 'content-length': Buffer.byteLength(body) }),
    'cache-control': 'no-store',
    ...headers,
  })
  response.end(body)
}

async function sendPieces(
  response: ServerResponse,
  contentType: string,
  pieces: AsyncIterable<string | Buffer>,
  options: SendOptions,
): Promise<void> {
  const { signal, endsWithErrorLine = false } = options
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
      if (!response.write(bytes)) await drained(response, options)
    }
  } catch (error) {
    const body = errorBody(error)
    if (endsWithErrorLine) response.write(`${JSON.stringify({ error: body })}\n`)
    response.addTrailers({ [ERROR_TRAILER]: encodeURIComponent(JSON.stringify(body)) })
  }
  response.end()
}

async function drained(response: ServerResponse, { signal, stallMsMax }: SendOptions): Promise<void> {
  const stalled = stallMsMax === undefined ? undefined : setTimeout(() => response.destroy(), stallMsMax)
  try {
    await once(response, 'drain', { signal })
  } catch {
    // Aborted: the loop sees the signal.
  } finally {
    clearTimeout(stalled)
  }
}
