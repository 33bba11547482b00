/** From configuration to a running downlink. Kafka's client is loaded when it is first connected. */
import type { LogSink } from '../../broker/index.ts'
import { systemClock } from '../clock.ts'
import type { DownlinkConfig } from '../config/downlink.ts'
import type { KafkaUpstreamConfig, UpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import { DownlinkConfigError } from '../errors.ts'
import { type LinkMemory, NOTHING_REMEMBERED } from '../link/link-memory.ts'
import type { Publisher } from './delivery.ts'
import { Downlink, type PausedMemory } from './downlink.ts'
import { downlinkFaults } from './faults.ts'
import type { DownlinkFacts } from './positions.ts'

export interface DownlinkWiring extends UpstreamDeps {
  readonly edge: string
  /** All that are configured. */
  readonly upstreams: readonly UpstreamConfig[]
  readonly facts: DownlinkFacts
  /** Keeps pauses; without it they end with the process. No upstream has a downlink's name. */
  readonly memory?: LinkMemory
  readonly publisher: Publisher
  readonly sink: LogSink
  readonly trustedNow: () => number | null
  /** From [0, 1). */
  readonly random?: () => number
}

/** @throws DownlinkConfigError for what a schema cannot say */
export async function createDownlink(config: DownlinkConfig, wiring: DownlinkWiring): Promise<Downlink> {
  const { edge, upstreams, facts, publisher, sink, trustedNow } = wiring
  const { clock = systemClock, random = Math.random } = wiring
  const [fault] = downlinkFaults(config, upstreams)
  if (fault !== undefined) throw new DownlinkConfigError(config.name, fault.message, fault.hint)
  const { KafkaSource } = await import('./kafka-source.ts')
  const cluster =
    config.connection ??
    upstreams.find((upstream): upstream is KafkaUpstreamConfig => upstream.name === config.upstream)!
  const topic = config.topic.replaceAll('{edge}', edge)
  // warnings about credentials name whose they are
  const access = { ...cluster, name: config.upstream ?? config.name }
  const source = new KafkaSource(access, topic, { ...wiring, clock })
  const deps = { edge, source, facts, publisher, sink, clock, trustedNow, random }
  const { memory } = wiring
  return new Downlink(
    config,
    memory === undefined ? deps : { ...deps, paused: await recall(memory, config.name) },
  )
}

async function recall(memory: LinkMemory, name: string): Promise<PausedMemory> {
  const { paused } = await memory.load(name)
  return {
    isPaused: paused,
    save: (isPaused) => memory.save(name, { ...NOTHING_REMEMBERED, paused: isPaused }),
  }
}
