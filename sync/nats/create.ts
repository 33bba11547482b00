/** From configuration to an upstream on NATS. The client is loaded when it is first connected. */
import { randomUUID } from 'node:crypto'
import type { NatsUpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import type { Upstream } from '../upstream.ts'
import { NatsAudit } from './audit.ts'
import { readLogin, readTls } from './credentials.ts'
import { NatsUpstream } from './nats-upstream.ts'
import type { NatsWire } from './wire.ts'

const CONNECT_MS = 5000

/** A connection as the configuration says: for the upstream, and for those who read. @throws NatsWireError, UpstreamSecretError */
export async function connectNats(
  config: NatsUpstreamConfig,
  clientName: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<NatsWire> {
  const tls = await readTls(config)
  const login = await readLogin(config, env)
  const { openWire } = await import('./library-wire.ts')
  const { servers, ackMs, domain = null, inboxPrefix } = config
  return openWire({
    servers,
    clientName,
    connectMs: CONNECT_MS,
    requestMs: ackMs,
    domain,
    inboxPrefix,
    login,
    tls,
  })
}

export async function createNats(config: NatsUpstreamConfig, deps: UpstreamDeps): Promise<Upstream> {
  return new NatsUpstream(
    { ...config, address: config.servers.join(',') },
    {
      randomUuid: randomUUID,
      openWire: ({ edge }) => connectNats(config, `headwater/${edge}`, deps.env),
    },
  )
}

/** What the upstream holds, read back. */
export async function createNatsAudit(config: NatsUpstreamConfig, deps: UpstreamDeps): Promise<NatsAudit> {
  return new NatsAudit(
    { ...config, address: config.servers.join(',') },
    { openWire: ({ edge }) => connectNats(config, `headwater-verify/${edge}`, deps.env) },
  )
}
