/** From configuration to an upstream on a Kafka cluster. The client is loaded when it is first connected. */
import { systemClock } from '../clock.ts'
import type { KafkaUpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import { readPassword, readTls } from '../secrets.ts'
import type { Upstream } from '../upstream.ts'
import { KafkaUpstream } from './kafka-upstream.ts'
import { LinkMeter } from './link-meter.ts'

const CONNECT_MS = 5000

export async function createKafka(config: KafkaUpstreamConfig, deps: UpstreamDeps): Promise<Upstream> {
  const { clock = systemClock, env = process.env } = deps
  const bootstrap = config.bootstrap.map(parseAddress)
  const meter = new LinkMeter()
  const openWire = async () => {
    const wire = await import('./platformatic-wire.ts')
    const tls = await readTls(config)
    const password = await readPassword(config, env)
    return wire.openWire({
      clientId: 'headwater',
      meter,
      bootstrap,
      connectMs: CONNECT_MS,
      requestMs: config.transactionTimeoutMs,
      ...(tls === null ? {} : { tls }),
      ...(config.tls?.serverName === undefined ? {} : { tlsServerName: config.tls.serverName }),
      ...(config.sasl === undefined || password === null
        ? {}
        : { sasl: { mechanism: config.sasl.mechanism, username: config.sasl.username, password } }),
    })
  }
  return new KafkaUpstream({ ...config, bootstrap: config.bootstrap.join(',') }, { clock, openWire, meter })
}

function parseAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { host, port: Number(address.slice(colon + 1)) }
}
