/** From configuration to an upstream on NATS. The client is loaded when it is first connected. */
import { randomUUID } from 'node:crypto'
import { HeadwaterError, type LogIdentity, silentSink } from '../../broker/index.ts'
import { systemClock } from '../clock.ts'
import type { NatsUpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import { SyncInternalError } from '../errors.ts'
import { renewalLog } from '../renewal-log.ts'
import type { Upstream } from '../upstream.ts'
import { toUpstreamError } from './answers.ts'
import { NatsAudit } from './audit.ts'
import { connectNats, createCredentials, exposedSecret, openAny } from './connect.ts'
import { NatsUpstream } from './nats-upstream.ts'
import { RenewedWire } from './renewed-wire.ts'
import { permissionsOf } from './stream.ts'

export async function createNats(config: NatsUpstreamConfig, deps: UpstreamDeps): Promise<Upstream> {
  const { clock = systemClock, sink = silentSink, random } = deps
  const credentials = createCredentials(config, deps)
  const exposed = exposedSecret(config)
  if (exposed !== null) sink.warn(`upstream ${config.name}: ${exposed}`)
  const openWire = ({ edge }: LogIdentity) =>
    RenewedWire.open({
      load: () => credentials.load(),
      open: (loaded) => openAny(config, `headwater/${edge}`, credentials, loaded, random),
      clock,
      ...renewalLog(config.name, sink, clock, (error) => namedError(error, config, edge)),
    })
  return new NatsUpstream(
    { ...config, address: config.servers.join(',') },
    { randomUuid: randomUUID, openWire, certificate: () => credentials.certificate },
  )
}

/** What the upstream holds, read back. */
export async function createNatsAudit(config: NatsUpstreamConfig, deps: UpstreamDeps): Promise<NatsAudit> {
  return new NatsAudit(
    { ...config, address: config.servers.join(',') },
    { openWire: ({ edge }) => connectNats(config, `headwater-verify/${edge}`, deps) },
  )
}

function namedError(error: unknown, config: NatsUpstreamConfig, edge: string): HeadwaterError {
  const permissions = permissionsOf(config, config.inboxPrefix, edge)
  const asked = { address: config.servers.join(','), stream: config.stream, permissions }
  const named = toUpstreamError(error, asked)
  if (named instanceof HeadwaterError) return named
  return new SyncInternalError(named instanceof Error ? named.message : String(named), true, named)
}
