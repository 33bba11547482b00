/** What became of an attempt to connect. */
import { type BridgeError, BrokerRefusedError, BrokerUnreachableError } from '../errors.ts'
import { finalRefusal } from './reason-codes.ts'
import type { AttemptOutcome, Reconnects } from './reconnects.ts'

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
 * When its turn has come, unless that is too late.
 * @param late what comes of it after `msMax`
 * @param attempt null: nobody wants it any more
 */
export function attemptInTurn(
  reconnects: Reconnects,
  msMax: number,
  late: BridgeError,
  attempt: () => Promise<Attempt | null>,
): Promise<Attempt> {
  return new Promise((resolve) => {
    let isSettled = false
    const settle = (made: Attempt) => {
      isSettled = true
      clearTimeout(limit)
      resolve(made)
    }
    const limit = setTimeout(() => settle({ outcome: 'dropped', error: late }), msMax)
    reconnects.add(async () => {
      const made = isSettled ? null : await attempt()
      if (made !== null) settle(made)
      return made?.outcome ?? 'dropped'
    })
  })
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
