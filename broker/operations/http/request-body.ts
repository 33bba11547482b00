/** The body of a POST: JSON, a few hundred bytes. */
import type { IncomingMessage } from 'node:http'
import { UsageError } from '../errors.ts'
import { HttpLimitError, HttpRefusedError } from './errors.ts'

const BODY_BYTES_MAX = 16_384

/**
 * A page of somebody else's can send forms and text without asking first, but no JSON: that is why the type counts even where there is no body.
 * @throws HttpRefusedError, HttpLimitError, UsageError
 */
export async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new HttpRefusedError('a POST comes as JSON', 'send it with content-type: application/json', 415)
  }
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > BODY_BYTES_MAX)
      throw new HttpLimitError(`a body has at most ${BODY_BYTES_MAX} bytes`, 'send less', 413)
    pieces.push(piece)
  }
  return parsed(Buffer.concat(pieces).toString('utf8'))
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new UsageError('the body is no JSON', 'send an object, such as {}')
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new UsageError('the body is no JSON object', 'send an object, such as {}')
}
