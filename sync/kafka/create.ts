/** From configuration to an upstream on a Kafka cluster. The client is loaded when it is first connected. */
import { HeadwaterError, silentSink } from '../../broker/index.ts'
import { parseAddress } from '../address.ts'
import type { AuditSource } from '../audit/source.ts'
import { systemClock } from '../clock.ts'
import { unwatchedClock } from '../clock-reading.ts'
import { isLoopback } from '../config/security-faults.ts'
import type { KafkaUpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import { SyncInternalError } from '../errors.ts'
import type { Pacer } from '../link/pacer.ts'
import { renewalLog } from '../renewal-log.ts'
import { Secrets } from '../secrets.ts'
import type { Upstream } from '../upstream.ts'
import { toUpstreamError } from './answers.ts'
import { KafkaAudit } from './audit.ts'
import { Credentials } from './credentials.ts'
import { KafkaUpstream } from './kafka-upstream.ts'
import { LinkMeter } from './link-meter.ts'
import { pacedWire } from './paced-wire.ts'
import type { KafkaWire } from './wire.ts'

const CONNECT_MS = 5000

/** What it takes to connect to a cluster. */
export type ClusterAccess = Pick<KafkaUpstreamConfig, 'name' | 'bootstrap' | 'tls' | 'sasl'>

export async function createKafka(config: KafkaUpstreamConfig, deps: UpstreamDeps): Promise<Upstream> {
  const { clock = systemClock, sink = silentSink } = deps
  const credentials = createCredentials(config, deps)
  const exposed = exposedSecret(config)
  if (exposed !== null) sink.warn(`upstream ${config.name}: ${exposed}`)
  const meter = new LinkMeter()
  const openWire = wireOpener(config, deps, config.transactionTimeoutMs, credentials, meter)
  const certificate = () => credentials.certificate
  const bootstrap = config.bootstrap.join(',')
  return new KafkaUpstream({ ...config, bootstrap }, { clock, openWire, certificate, meter })
}

export async function createKafkaAudit(
  config: KafkaUpstreamConfig,
  deps: UpstreamDeps,
  pacer: Pacer | null,
): Promise<AuditSource> {
  const { clock = systemClock } = deps
  const meter = new LinkMeter()
  const open = wireOpener(config, deps, config.transactionTimeoutMs, createCredentials(config, deps), meter)
  const openWire = async () => (pacer === null ? open() : pacedWire(await open(), pacer, meter))
  const close = () => pacer?.close()
  return new KafkaAudit({ ...config, bootstrap: config.bootstrap.join(',') }, { clock, openWire, close })
}

/**
 * Connections of their own at each call, with the files as they are then.
 * @param requestMs for an answer to come
 */
export function wireOpener(
  config: ClusterAccess,
  deps: UpstreamDeps,
  requestMs: number,
  credentials: Credentials = createCredentials(config, deps),
  meter: LinkMeter = new LinkMeter(),
): () => Promise<KafkaWire> {
  const { clock = systemClock, sink = silentSink } = deps
  const bootstrap = config.bootstrap.join(',')
  const renewals = renewalLog(config.name, sink, clock, (error) => namedError(error, bootstrap))
  return async () => {
    const wire = await import('./platformatic-wire.ts')
    return wire.openWire({
      clientId: 'headwater',
      meter,
      bootstrap: config.bootstrap.map(parseAddress),
      connectMs: CONNECT_MS,
      requestMs,
      credentials,
      clock,
      ...renewals,
    })
  }
}

/** What anybody on the way could read: PLAIN and OAUTHBEARER send what is secret itself. */
function exposedSecret({ tls, sasl, bootstrap }: KafkaUpstreamConfig): string | null {
  if (tls !== undefined || sasl === undefined || sasl.mechanism.startsWith('SCRAM')) return null
  if (bootstrap.every((address) => isLoopback(parseAddress(address).host))) return null
  const what = sasl.mechanism === 'PLAIN' ? 'the password' : 'the token'
  return `${sasl.mechanism} without tls shows ${what} to everybody on the way - add tls`
}

/** What connections of this upstream are opened with. */
export function createCredentials(
  { name, tls, sasl }: ClusterAccess,
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
