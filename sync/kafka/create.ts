/** From configuration to an upstream on a Kafka cluster. The client is loaded when it is first connected. */
import type { AuditSource } from '../audit/source.ts'
import { systemClock } from '../clock.ts'
import type { KafkaUpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import { readPassword, readTls } from '../secrets.ts'
import type { Upstream } from '../upstream.ts'
import { KafkaAudit } from './audit.ts'
import { KafkaUpstream } from './kafka-upstream.ts'
import { LinkMeter } from './link-meter.ts'
import type { KafkaWire } from './wire.ts'

const CONNECT_MS = 5000

/** What it takes to connect to a cluster. */
export type WireConnection = Pick<KafkaUpstreamConfig, 'bootstrap' | 'tls' | 'sasl'>

export async function createKafka(config: KafkaUpstreamConfig, deps: UpstreamDeps): Promise<Upstream> {
  const { clock = systemClock } = deps
  const meter = new LinkMeter()
  const openWire = wireOpener(config, deps, config.transactionTimeoutMs, meter)
  return new KafkaUpstream({ ...config, bootstrap: config.bootstrap.join(',') }, { clock, openWire, meter })
}

export async function createKafkaAudit(
  config: KafkaUpstreamConfig,
  deps: UpstreamDeps,
): Promise<AuditSource> {
  const { clock = systemClock } = deps
  const openWire = wireOpener(config, deps, config.transactionTimeoutMs)
  return new KafkaAudit({ ...config, bootstrap: config.bootstrap.join(',') }, { clock, openWire })
}

/** Connections of their own at each call, with secrets as they are then. @param requestMs for an answer to come */
export function wireOpener(
  config: WireConnection,
  { env = process.env }: UpstreamDeps,
  requestMs: number,
  meter: LinkMeter = new LinkMeter(),
): () => Promise<KafkaWire> {
  const bootstrap = config.bootstrap.map(parseAddress)
  return async () => {
    const wire = await import('./platformatic-wire.ts')
    const tls = await readTls(config as KafkaUpstreamConfig)
    const password = await readPassword(config as KafkaUpstreamConfig, env)
    return wire.openWire({
      clientId: 'headwater',
      meter,
      bootstrap,
      connectMs: CONNECT_MS,
      requestMs,
      ...(tls === null ? {} : { tls }),
      ...(config.tls?.serverName === undefined ? {} : { tlsServerName: config.tls.serverName }),
      ...(config.sasl === undefined || password === null
        ? {}
        : { sasl: { mechanism: config.sasl.mechanism, username: config.sasl.username, password } }),
    })
  }
}

function parseAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { host, port: Number(address.slice(colon + 1)) }
}
