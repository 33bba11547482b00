/** From what the wire throws to what an operator reads: one clear line, and what to do. */
import { HeadwaterError } from '../../broker/index.ts'
import {
  JetStreamOffError,
  NatsNotAllowedError,
  NatsStreamFullError,
  NatsStreamUnsuitableError,
  UpstreamAnswerError,
  UpstreamAuthError,
  UpstreamTimeoutError,
  UpstreamTlsError,
  UpstreamUnreachableError,
} from '../errors.ts'
import { NatsWireError, WRONG_LAST_SEQUENCE } from './wire.ts'

const LOGIN_HINT = 'check login in the configuration, and that the servers know this user, token or key'
/** The stream's own limits, the account's, and the disk's. */
const FULL: ReadonlySet<number> = new Set([10_077, 10_047, 10_028, 10_002, 10_023, 10_122])
/** A message is larger than the stream's max_msg_size. */
export const MESSAGE_TOO_LARGE = 10_054
const REFUSED_STREAM: ReadonlySet<number> = new Set([10_052, 10_058, 10_065, 10_074, 10_113])

export interface Asked {
  readonly address: string
  /** The JetStream stream, where one was asked. */
  readonly stream: string
  /** What a user needs to be allowed. */
  readonly permissions: string
}

export function toUpstreamError(error: unknown, { address, stream, permissions }: Asked): unknown {
  if (error instanceof HeadwaterError || !(error instanceof NatsWireError)) return error
  const place = `NATS at ${address}`
  const { fault, message, apiCode } = error
  switch (fault) {
    case 'unreachable':
      return new UpstreamUnreachableError(
        `${place}: ${message}`,
        'check servers in the configuration, and the network; sync tries again by itself',
        error,
      )
    case 'broken':
      return new UpstreamUnreachableError(
        `${place}: ${message}`,
        'if it never works, check that the port is that of clients and that both sides agree on tls; sync tries again by itself',
        error,
      )
    case 'timeout':
      return new UpstreamTimeoutError(`${place}: ${message}`, error)
    case 'auth':
      return new UpstreamAuthError(place, message, error, LOGIN_HINT)
    case 'tls':
      return new UpstreamTlsError(place, message, error)
    case 'permission':
      return new NatsNotAllowedError(`${place}: ${message}`, `allow this user ${permissions}`, error)
    case 'no-jetstream':
      return new JetStreamOffError(address, message, error)
    case 'no-stream':
      return new UpstreamAnswerError(message, `stream ${stream}`, 'sync looks for it again by itself', error)
    case 'api':
      return apiError(error, stream, apiCode)
  }
}

function apiError(error: NatsWireError, stream: string, code: number): unknown {
  if (FULL.has(code)) return new NatsStreamFullError(stream, error.message, error)
  if (REFUSED_STREAM.has(code)) {
    const hint = 'change newStream, subjectPrefix or stream of this upstream, or create the stream by hand'
    return new NatsStreamUnsuitableError(stream, `it cannot be created: ${error.message}`, hint, error)
  }
  const hint = WRONG_LAST_SEQUENCE.has(code)
    ? 'sync reads what stands there and goes on from it'
    : 'sync tries again by itself'
  return new UpstreamAnswerError(`${error.message} (${code})`, `stream ${stream}`, hint, error)
}
