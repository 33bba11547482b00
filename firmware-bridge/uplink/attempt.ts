/** What became of an attempt to connect. */
import { type BridgeError, BrokerRefusedError, BrokerUnreachableError } from '../errors.ts'
import { finalRefusal } from './reason-codes.ts'
import type { AttemptOutcome } from './reconnects.ts'

/** error null: connected. */
export interface Attempt {
  readonly outcome: AttemptOutcome
  readonly error: BridgeError | null
}

export interface CodedAttempt extends Attempt {
  /** Of CONNACK; null: there was none. */
  readonly code: number | null
}

/**
 * @param failure what mqtt.js said first: CONNACK's code as a number, or a socket's error
 * @param isAnswered CONNACK had come: what then ended the connection is this session's affair, and the broker is there for the others
 */
export function failed(
  failure: (Error & { code?: number | string }) | null,
  isAnswered: boolean,
  clientId: string,
  broker: string,
): CodedAttempt {
  const code = typeof failure?.code === 'number' ? failure.code : null
  if (code === null) {
    const reason = failure?.message || (failure?.code ?? 'it closed the connection')
    return {
      outcome: isAnswered ? 'reached' : 'unreachable',
      error: new BrokerUnreachableError(broker, String(reason), failure),
      code,
    }
  }
  const final = finalRefusal(code)
  if (final === null) {
    return { outcome: 'reached', error: new BrokerUnreachableError(broker, failure!.message, failure), code }
  }
  return { outcome: 'reached', error: new BrokerRefusedError(clientId, ...final, failure), code }
}
