/** What the libraries throw, as faults of the wire. Their classes are told by name: loading them is for the wire alone. */
import { isTlsCode } from '../tls-faults.ts'
import { type NatsFault, NatsWireError } from './wire.ts'

const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (connection refused)',
  ENOTFOUND: 'the name cannot be resolved',
  EAI_AGAIN: 'the name cannot be resolved',
  EHOSTUNREACH: 'there is no route',
  ENETUNREACH: 'there is no route',
  ENETDOWN: 'there is no route',
}
const JETSTREAM_OFF: ReadonlySet<number> = new Set([10_039, 10_076])
const STREAM_NOT_FOUND = 10_059

/** What TLS said behind an error; null where it said nothing. */
export function tlsCause(error: Error): (Error & { readonly code: string }) | null {
  for (const each of chain(error)) {
    if (typeof each.code === 'string' && isTlsCode(each.code)) return each as Error & { code: string }
  }
  return null
}

function* chain(error: unknown): Generator<Error & { code?: unknown }> {
  if (!(error instanceof Error)) return
  yield error
  if (error instanceof AggregateError) for (const inner of error.errors) yield* chain(inner)
  yield* chain(error.cause)
}

export function toWireError(error: unknown): NatsWireError {
  const errors = [...chain(error)]
  const named = (...names: string[]) => errors.find(({ name }) => names.includes(name))
  const coded = (test: (code: string) => boolean) =>
    errors.find(({ code }) => typeof code === 'string' && test(code))
  const fault = (kind: NatsFault, message: string, apiCode = 0) =>
    new NatsWireError(kind, oneLine(message), error, apiCode)

  const api = errors.find(({ name, code }) => typeof code === 'number' && /^JetStream|Stream/.test(name))
  if (api !== undefined) {
    const code = api.code as number
    if (JETSTREAM_OFF.has(code)) return fault('no-jetstream', api.message, code)
    return fault(code === STREAM_NOT_FOUND ? 'no-stream' : 'api', api.message, code)
  }
  const denied = named('PermissionViolationError')
  if (denied !== undefined) return fault('permission', denied.message)
  const refused = named('AuthorizationError', 'UserAuthenticationExpiredError')
  if (refused !== undefined) return fault('auth', refused.message)
  if (named('JetStreamNotEnabled', 'NoResponders') !== undefined) {
    return fault('no-jetstream', 'nobody answers the request')
  }
  const tls = coded(isTlsCode)
  if (tls !== undefined) return fault('tls', tls.message)
  const notTls = errors.find(({ message }) => /does not support 'tls'|'tls' is not available/.test(message))
  if (notTls !== undefined) return fault('tls', 'the server offers none')
  const absent = coded((code) => code in UNREACHABLE)
  if (absent !== undefined) return fault('unreachable', UNREACHABLE[absent.code as string]!)
  if (named('TimeoutError') !== undefined) return fault('timeout', 'no answer in time')
  if (errors.some(({ message }) => message === 'connection refused')) {
    return fault('unreachable', UNREACHABLE.ECONNREFUSED!)
  }
  const deepest = errors.at(-1)?.message ?? String(error ?? 'closed by the other side')
  return fault('broken', `the connection broke (${deepest})`)
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
