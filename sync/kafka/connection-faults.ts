/** What a connection that failed or broke means: a fault for the code, and for people an error that tells causes apart. */
import {
  UpstreamAuthError,
  type UpstreamError,
  UpstreamTlsError,
  UpstreamUnreachableError,
} from '../errors.ts'
import { peerCertificates } from '../peer-certificate.ts'
import {
  type Explained,
  explainTls,
  isTlsCode,
  notTls,
  refusedCertificate,
  type TlsSituation,
} from '../tls-faults.ts'
import type { Credentials } from './credentials.ts'
import { type ListenerFacts, probeListener } from './listener-probe.ts'
import type { ConnectionFault } from './wire.ts'

type CodedError = Error & { readonly code?: string }

export interface ExplainedFault {
  readonly fault: ConnectionFault
  readonly reason: string
  readonly explained: ((place: string) => UpstreamError) | null
}

/** All errors in a chain of causes and of errors that stand for several. */
function* chain(error: unknown): Generator<CodedError> {
  if (!(error instanceof Error)) return
  yield error
  if (error instanceof AggregateError) for (const inner of error.errors) yield* chain(inner)
  yield* chain(error.cause)
}

/** @param errors what failed, and what the socket said before it closed */
export function faultOf(...errors: readonly unknown[]): {
  fault: ConnectionFault
  reason: string
  cause: CodedError | null
} {
  const all = errors.flatMap((error) => [...chain(error)])
  const deepest = all.at(-1)?.message ?? String(errors[0])
  const coded = (test: (code: string) => boolean) =>
    all.find(({ code }) => code !== undefined && test(code)) ?? null
  const is = (...codes: string[]) => coded((code) => codes.includes(code))
  const found = (fault: ConnectionFault, reason: string, cause: CodedError | null = null) => ({
    fault,
    reason,
    cause,
  })
  const auth = is('PLT_KFK_AUTHENTICATION')
  if (auth !== null) return found('auth', deepest, auth)
  const tls = coded(isTlsCode)
  if (tls !== null) return found('tls', tls.message, tls)
  if (is('ECONNREFUSED')) return found('refused', 'nothing listens there (connection refused)')
  if (is('ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA')) return found('name', 'the name cannot be resolved')
  if (is('EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN')) return found('route', 'there is no route')
  if (all.some(({ message }) => /timed out/i.test(message))) return found('timeout', 'no answer in time')
  if (is('PLT_KFK_UNEXPECTED_CORRELATION_ID')) return found('protocol', 'it does not speak Kafka')
  return found('broken', `the connection broke (${deepest})`)
}

/**
 * @param situation the address, and the TLS files that it was tried with
 * @param isNew nothing was ever answered on the connection: it may be the wrong kind of listener
 */
export async function explainFault(
  errors: readonly unknown[],
  credentials: Credentials,
  situation: TlsSituation,
  isNew: boolean,
): Promise<ExplainedFault> {
  const { fault, reason, cause } = faultOf(...errors)
  const result = (explained: Explained | null, kind = fault, text = reason) => ({
    fault: kind,
    reason: text,
    explained,
  })
  if (fault === 'auth') return result(explainAuth(errors, credentials))
  if (fault === 'tls' && cause !== null) return result(await explainTls(cause, situation))
  if (!isNew || (fault !== 'broken' && fault !== 'protocol')) return result(null)
  const listener = await explainListener(credentials, situation)
  if (listener === null) return result(null)
  return result(listener.explained, listener.fault)
}

// -- login --------------------------------------------------------------------------------------------------------------

/** Parts of the library's errors. */
interface AnswerParts {
  readonly apiId?: string
  readonly serverErrorMessage?: string | null
  readonly response?: { readonly mechanisms?: readonly string[] }
}

function explainAuth(errors: readonly unknown[], credentials: Credentials): Explained {
  const all = errors.flatMap((error) => [...chain(error)]) as (CodedError & AnswerParts)[]
  const cause = all[0]
  const mechanism = credentials.mechanism ?? ''
  const answers = all.map(({ apiId }) => apiId)
  if (answers.includes('ILLEGAL_SASL_STATE')) {
    const hint = 'remove sasl from this upstream, or use the port of a SASL listener'
    return (place) => new UpstreamAuthError(place, 'that listener asks for no login', cause, hint)
  }
  if (answers.includes('UNSUPPORTED_SASL_MECHANISM')) {
    const offered = all.find(({ response }) => response?.mechanisms !== undefined)?.response?.mechanisms ?? []
    return unknownMechanism(mechanism, offered, cause)
  }
  const said = all.find(
    ({ serverErrorMessage }) => typeof serverErrorMessage === 'string',
  )?.serverErrorMessage
  const deepest = all.at(-1)!.message
  const reason = said ?? deepest
  if (mechanism === 'OAUTHBEARER') {
    const hint =
      "check what the token says (issuer, audience, scope, subject) against the listener's sasl.oauthbearer settings; a new token is fetched for the next try"
    return (place) => new UpstreamAuthError(place, reason, cause, hint)
  }
  const hint =
    'check sasl.username and the password, and that the user exists on the cluster; a password file is read anew for each try'
  const what = /invalid (credentials|username or password)/i.test(reason)
    ? 'wrong user or password'
    : 'the login failed'
  return (place) => new UpstreamAuthError(place, `${what} (${reason})`, cause, hint)
}

function unknownMechanism(mechanism: string, offered: readonly string[], cause?: unknown): Explained {
  const list = offered.length === 0 ? 'nothing that is known here' : offered.join(', ')
  const hint = `set sasl.mechanism to one that it offers, or enable ${mechanism} there (sasl.enabled.mechanisms)`
  return (place) =>
    new UpstreamAuthError(
      place,
      `it does not know the mechanism ${mechanism}, it offers: ${list}`,
      cause,
      hint,
    )
}

// -- the wrong kind of listener -----------------------------------------------------------------------------------------

async function explainListener(
  credentials: Credentials,
  situation: TlsSituation,
): Promise<{ fault: ConnectionFault; explained: Explained } | null> {
  const { peer, material } = situation
  const [asWanted, otherwise] = await Promise.all(
    credentials.usesTls
      ? [probeListener(peer, material), probeListener(peer, null)]
      : [probeListener(peer, null), probeListener(peer, {})],
  )
  if (asWanted !== null) return missingLogin(asWanted, credentials)
  if (otherwise === null) return refusedAfterHandshake(credentials, situation)
  if (credentials.usesTls) return { fault: 'tls', explained: notTls(situation) }
  const hint =
    'add tls to this upstream (tls: {} where the system knows the authority), or use the port of a listener without TLS'
  return {
    fault: 'tls',
    explained: (place) =>
      new UpstreamTlsError(place, 'that port speaks TLS, and this upstream has no tls', undefined, hint),
  }
}

function missingLogin(
  { mechanisms }: ListenerFacts,
  credentials: Credentials,
): { fault: ConnectionFault; explained: Explained } | null {
  if (mechanisms.length === 0 || credentials.mechanism !== null) return null
  const hint = `add sasl to this upstream; it offers: ${mechanisms.join(', ')}`
  const explained: Explained = (place) =>
    new UpstreamUnreachableError(
      `Kafka at ${place}: it asks for a login, and this upstream has no sasl`,
      hint,
    )
  return { fault: 'broken', explained }
}

/**
 * A refusal by TLS 1.3 comes after the handshake, and is lost where the connection ends first: the other side shows its certificate,
 * and answers nothing.
 */
async function refusedAfterHandshake(
  credentials: Credentials,
  situation: TlsSituation,
): Promise<{ fault: ConnectionFault; explained: Explained } | null> {
  if (!credentials.usesTls) return null
  const [shown] = await peerCertificates(situation.peer, situation.material)
  if (shown === undefined) return null
  const ended = new Error('the connection ended right after the handshake')
  return { fault: 'tls', explained: refusedCertificate(ended, situation) }
}
