/** From configuration to a running replicator. Kafka's client is loaded by the first upstream that needs it. */
import { randomUUID } from 'node:crypto'
import { type LogSink, type LogSource, unreachable } from '../broker/index.ts'
import { ArchiveUpstream } from './archive/archive-upstream.ts'
import { ArchiveAudit } from './archive/audit.ts'
import { PacedSource } from './audit/paced-source.ts'
import type { AuditSource } from './audit/source.ts'
import type { CheckpointCache } from './checkpoint.ts'
import { type Clock, systemClock } from './clock.ts'
import type { ReadClock } from './clock-reading.ts'
import { deliveryFaults } from './config/delivery-faults.ts'
import { saslFaults, tlsFaults } from './config/security-faults.ts'
import type { UpstreamConfig } from './config.ts'
import { UpstreamConfigError } from './errors.ts'
import { EVERYTHING, Selection } from './filter/selection.ts'
import { Link, type LinkOptions, UNLIMITED } from './link/link.ts'
import type { LinkMemory } from './link/link-memory.ts'
import { localNetworks, tcpProbe } from './link/link-probe.ts'
import { Pacer } from './link/pacer.ts'
import { type ConfigFault, linkFaults } from './link-faults.ts'
import { natsFaults } from './nats/config-faults.ts'
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
  /** From [0, 1). */
  readonly random?: () => number
}

export interface ReplicatorWiring extends UpstreamDeps {
  readonly log: LogSource
  readonly cache: CheckpointCache
  readonly sink: LogSink
  /** Keeps pauses and data budgets; without it they end with the process. */
  readonly memory?: LinkMemory
  /** ms since 1970, or null while the clock is not to be trusted. */
  readonly trustedNow?: () => number | null
}

/** @throws UpstreamConfigError for what a schema cannot say */
export async function createReplicator(
  config: UpstreamConfig,
  wiring: ReplicatorWiring,
): Promise<Replicator> {
  const { log, cache, sink, random = Math.random, clock = systemClock } = wiring
  const upstream = await createUpstream(config, wiring)
  const round = { ...config.round, bytesMin: ROUND_BYTES_MIN, msTarget: ROUND_MS_TARGET }
  const { memory, trustedNow } = wiring
  const hints = { network: localNetworks, probe: probeOf(config) }
  const loop = () => performance.eventLoopUtilization()
  const linkDeps = { name: config.name, clock, sink, memory, trustedNow, hints, loop }
  const link = await Link.open(linkOptions(config), linkDeps)
  const selection = new Selection({ ...EVERYTHING, ...config })
  const deps = { log, upstream, cache, sink, selection, link, clock, random }
  return new Replicator({ round, backoff: config.backoff }, deps)
}

function linkOptions(config: UpstreamConfig): LinkOptions {
  const { bandwidth, schedule, budgets, urgentPriority } = { ...UNLIMITED, ...config }
  const burstBytes = bandwidth?.burstBytes ?? bandwidth?.bytesPerSecond ?? 0
  return {
    bandwidth: bandwidth === undefined ? undefined : { ...bandwidth, burstBytes },
    schedule,
    budgets,
    urgentPriority,
  }
}

/** How to ask cheaply whether the place can be reached; null for one whose `recover` is as cheap. */
function probeOf(config: UpstreamConfig): (() => Promise<boolean>) | null {
  switch (config.kind) {
    case 'archive':
      return null
    case 'kafka':
      return tcpProbe(config.bootstrap)
    case 'nats':
      return tcpProbe(config.servers)
    default:
      return unreachable(config)
  }
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
    case 'nats':
      return (await import('./nats/create.ts')).createNats(config, deps)
    default:
      return unreachable(config)
  }
}

/**
 * What an upstream holds, read back, no faster than the upstream may be written.
 * @param bytesPerSecond in the place of the configured cap
 * @throws UpstreamConfigError
 */
export async function createAuditSource(
  config: UpstreamConfig,
  deps: UpstreamDeps = {},
  bytesPerSecond?: number,
): Promise<AuditSource> {
  const [fault] = upstreamFaults(config)
  if (fault !== undefined) throw new UpstreamConfigError(config.name, fault.message, fault.hint)
  const configured = linkOptions(config).bandwidth
  const bandwidth = bytesPerSecond === undefined ? configured : { bytesPerSecond, burstBytes: bytesPerSecond }
  const pacer = bandwidth === undefined ? null : new Pacer(bandwidth, deps.clock ?? systemClock)
  const paced = (source: AuditSource) => (pacer === null ? source : new PacedSource(source, pacer))
  switch (config.kind) {
    case 'archive':
      return paced(new ArchiveAudit(config))
    case 'kafka':
      return (await import('./kafka/create.ts')).createKafkaAudit(config, deps, pacer)
    case 'nats':
      return paced(await (await import('./nats/create.ts')).createNatsAudit(config, deps))
    default:
      return unreachable(config)
  }
}

/**
 * What is wrong with an entry that its schema lets through; `path` is below the entry.
 * @param isCron checks a cron expression
 */
export function upstreamFaults(config: UpstreamConfig, isCron?: (text: string) => boolean): ConfigFault[] {
  const faults = linkFaults(config, isCron)
  if (config.kind === 'nats') return [...faults, ...natsFaults(config)]
  if (config.kind !== 'kafka') return faults
  return [...faults, ...saslFaults(config.sasl), ...tlsFaults(config.tls), ...deliveryFaults(config)]
}
