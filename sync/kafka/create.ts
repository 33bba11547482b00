/** From configuration to an upstream on a Kafka cluster. The client is loaded when it is first connected. */
import { HeadwaterError, silentSink } from '../../broker/index.ts'
import { systemClock } from '../clock.ts'
import { unwatchedClock } from '../clock-reading.ts'
import { isLoopback } from '../config/security-faults.ts'
import type { KafkaUpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import { SyncInternalError } from '../errors.ts'
import { FailureLog } from '../failure-log.ts'
import { Secrets } from '../secrets.ts'
import type { Upstream } from '../upstream.ts'
import { toUpstreamError } from './answers.ts'
import { Credentials } from './credentials.ts'
import { KafkaUpstream } from './kafka-upstream.ts'

const CONNECT_MS = 5000

export async function createKafka(config: KafkaUpstreamConfig, deps: UpstreamDeps): Promise<Upstream> {
  const { clock = systemClock, sink = silentSink } = deps
  const bootstrap = config.bootstrap.join(',')
  const who = `upstream ${config.name}`
  const credentials = createCredentials(config, deps)
  const exposed = exposedSecret(config)
  if (exposed !== null) sink.warn(`${who}: ${exposed}`)
  const failures = new FailureLog(
    sink,
    clock,
    `${who} goes on with its old credentials, new ones cannot be used yet`,
  )
  const openWire = async () => {
    const wire = await import('./platformatic-wire.ts')
    return wire.openWire({
      clientId: 'headwater',
      bootstrap: config.bootstrap.map(parseAddress),
      connectMs: CONNECT_MS,
      requestMs: config.transactionTimeoutMs,
      credentials,
      clock,
      onRenewFailed: (error) => failures.failed(namedError(error, bootstrap), 1),
    })
  }
  const certificateUntil = () => credentials.certificateUntil
  return new KafkaUpstream({ ...config, bootstrap }, { clock, openWire, certificateUntil })
}

/** What anybody on the way could read: PLAIN and OAUTHBEARER send what is secret itself. */
function exposedSecret({ tls, sasl, bootstrap }: KafkaUpstreamConfig): string | null {
  if (tls !== undefined || sasl === undefined || sasl.mechanism.startsWith('SCRAM')) return null
  if (bootstrap.every((address) => isLoopback(parseAddress(address).host))) return null
  const what = sasl.mechanism === 'PLAIN' ? 'the password' : 'the token'
  return `${sasl.mechanism} without tls shows ${what} to everybody on the way - add tls`
}

/** What connections of this upstream are opened with; for whoever else connects to its cluster, too. */
export function createCredentials(
  { name, tls, sasl }: Pick<KafkaUpstreamConfig, 'name' | 'tls' | 'sasl'>,
  { clock = systemClock, env = process.env, sink = silentSink, readClock = unwatchedClock }: UpstreamDeps,
): Credentials {
  const who = `upstream ${name}`
  const secrets = new Secrets(env, sink, who)
  return new Credentials(
    { tls, sasl },
    { secrets, clock, readClock, warn: (line) => sink.warn(`${who}: ${line}`) },
  )
}

function namedError(error: unknown, bootstrap: string): HeadwaterError {
  const named = toUpstreamError(error, bootstrap)
  if (named instanceof HeadwaterError) return named
  return new SyncInternalError(named instanceof Error ? named.message : String(named), true, named)
}

export function parseAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { host, port: Number(address.slice(colon + 1)) }
}
