/** The upstreams and downlinks of a broker that starts: what they are made of here, and the one place where sync meets it. */
import type { Broker } from '../broker/broker.ts'
import type { Config } from '../broker/config/schema.ts'
import type { LogSink } from '../broker/log-sink.ts'
import type { RunningSync } from '../broker/operations/commands/start.ts'
import { type Clock, systemClock } from '../broker/timers.ts'
import type { DownlinkConfig, UpstreamConfig } from '../sync/index.ts'
import { RunningUpstreams } from './running-sync.ts'

/** A replicator an upstream, and what it reads; their positions are kept among the broker's facts. */
export async function startSync(
  config: Config,
  broker: Broker,
  sink: LogSink,
  clock: Clock = systemClock,
): Promise<RunningSync> {
  const { checkpointCache, createReplicator, linkMemory } = await import('../sync/index.ts')
  const wiring = {
    log: broker.log,
    cache: checkpointCache(broker.facts),
    memory: linkMemory(broker.facts),
    trustedNow: () => broker.trustedNow(),
    sink,
    clock,
    readClock: () => ({ now: clock.now(), ...broker.clockTrust() }),
  }
  const running = new RunningUpstreams({
    floors: broker.log.floors,
    sink,
    // The schema of these entries is sync's: the configuration was checked with it.
    createReplication: (entry) => createReplicator(entry as unknown as UpstreamConfig, wiring),
    async createDownlink(entry, upstreams) {
      const { createDownlink } = await import('../sync/downlink/create.ts')
      return createDownlink(entry as unknown as DownlinkConfig, {
        ...wiring,
        edge: broker.status().edge,
        upstreams: upstreams as unknown as UpstreamConfig[],
        facts: broker.facts,
        publisher: broker.publisher,
      })
    },
  })
  await running.start(config)
  return running
}
