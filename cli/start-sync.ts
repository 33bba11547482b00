/** The upstreams and downlinks of a broker that starts: what they are made of here, and the one place where sync meets it. */
import type { Broker } from '../broker/broker.ts'
import type { Config } from '../broker/config/schema.ts'
import type { LogSink } from '../broker/log-sink.ts'
import type { RunningSync } from '../broker/operations/commands/start.ts'
import type { Downlink, DownlinkConfig, Replicator, UpstreamConfig } from '../sync/index.ts'

/** A replicator an upstream, and what it reads; their positions are kept among the broker's facts. */
export async function startSync(config: Config, broker: Broker, sink: LogSink): Promise<RunningSync> {
  const { checkpointCache, createReplicator, linkMemory } = await import('../sync/index.ts')
  const { UpstreamCommands } = await import('../broker/operations/upstream-commands.ts')
  const wiring = {
    log: broker.log,
    cache: checkpointCache(broker.facts),
    memory: linkMemory(broker.facts),
    trustedNow: () => broker.trustedNow(),
    sink,
    readClock: () => ({ now: Date.now(), ...broker.clockTrust() }),
  }
  const replicators = new Map<string, Replicator>()
  for (const entry of config.upstreams) {
    // The schema of these entries is sync's: the configuration was checked with it.
    const upstream = entry as unknown as UpstreamConfig
    const replicator = await createReplicator(upstream, wiring)
    replicators.set(upstream.name, replicator)
    broker.log.floors.set(upstream.name, () => replicator.positions())
  }
  const downlinks = await createDownlinks(config, broker, sink)
  for (const running of [...replicators.values(), ...downlinks.values()]) running.start()
  const commands = new UpstreamCommands(replicators, downlinks)
  return { operations: commands, close: () => commands.close() }
}

async function createDownlinks(
  config: Config,
  broker: Broker,
  sink: LogSink,
): Promise<Map<string, Downlink>> {
  const downlinks = new Map<string, Downlink>()
  if (config.downlinks.length === 0) return downlinks
  const { createDownlink } = await import('../sync/downlink/create.ts')
  const { linkMemory } = await import('../sync/index.ts')
  const wiring = {
    edge: broker.status().edge,
    upstreams: config.upstreams as unknown as UpstreamConfig[],
    facts: broker.facts,
    memory: linkMemory(broker.facts),
    publisher: broker.publisher,
    sink,
    trustedNow: () => broker.trustedNow(),
    readClock: () => ({ now: Date.now(), ...broker.clockTrust() }),
  }
  for (const entry of config.downlinks) {
    downlinks.set(entry.name, await createDownlink(entry as unknown as DownlinkConfig, wiring))
  }
  return downlinks
}
