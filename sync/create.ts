/** From configuration to a running replicator. Kafka's client is loaded by the first upstream that needs it. */
import { randomUUID } from 'node:crypto'
import { type LogSink, type LogSource, unreachable } from '../broker/index.ts'
import { ArchiveUpstream } from './archive/archive-upstream.ts'
import type { CheckpointCache } from './checkpoint.ts'
import { type Clock, systemClock } from './clock.ts'
import type { ReadClock } from './clock-reading.ts'
import { type ConfigFault, saslFaults, tlsFaults } from './config/security-faults.ts'
import type { UpstreamConfig } from './config.ts'
import { UpstreamConfigError } from './errors.ts'
import { Replicator } from './replicator.ts'
import type { Upstream } from './upstream.ts'

const ROUND_BYTES_MIN = 16 * 1024
/** A round that takes longer is too large for its link. */
const ROUND_MS_TARGET = 2000

export interface UpstreamDeps {
  readonly clock?: Clock
  readonly env?: NodeJS.ProcessEnv
  /** What people should know of: a secret that others can read, a certificate that is about to expire. */
  readonly sink?: LogSink
  /** How far this device's clock is to be believed: a certificate's dates are judged by it. */
  readonly readClock?: ReadClock
}

export interface ReplicatorWiring extends UpstreamDeps {
  readonly log: LogSource
  readonly cache: CheckpointCache
  readonly sink: LogSink
  /** From [0, 1). */
  readonly random?: () => number
}

/** @throws UpstreamConfigError for what a schema cannot say */
export async function createReplicator(
  config: UpstreamConfig,
  wiring: ReplicatorWiring,
): Promise<Replicator> {
  const { log, cache, sink, random = Math.random, clock = systemClock } = wiring
  const upstream = await createUpstream(config, wiring)
  const round = { ...config.round, bytesMin: ROUND_BYTES_MIN, msTarget: ROUND_MS_TARGET }
  return new Replicator({ round, backoff: config.backoff }, { log, upstream, cache, sink, clock, random })
}

/** @throws UpstreamConfigError for what a schema cannot say */
export async function createUpstream(config: UpstreamConfig, deps: UpstreamDeps = {}): Promise<Upstream> {
  const [fault] = upstreamFaults(config)
  if (fault !== undefined) throw new UpstreamConfigError(config.name, fault.message, fault.hint)
  switch (config.kind) {
    case 'archive':
      return new ArchiveUpstream(config, { randomUuid: randomUUID })
    case 'kafka':
      return (await import('./kafka/create.ts')).createKafka(config, deps)
    default:
      return unreachable(config)
  }
}

/** What is wrong with an entry that its schema lets through; `path` is below the entry. */
export function upstreamFaults(config: UpstreamConfig): ConfigFault[] {
  if (config.kind !== 'kafka') return []
  const { backoff } = config
  const faults = [...saslFaults(config.sasl), ...tlsFaults(config.tls)]
  if (backoff.firstMs > backoff.msMax) {
    const hint = 'raise backoff.msMax'
    faults.push({ path: ['backoff'], message: 'firstMs is more than msMax', hint })
  }
  return faults
}
