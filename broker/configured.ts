/** What the configuration asks of the log and the data directory, in their own words. */
import { hostname } from 'node:os'
import type { BrokerConfig, StreamConfig } from './config/schema.ts'
import type { StreamDefinition } from './log/catalog.ts'
import type { EventLogOptions } from './log/event-log.ts'
import type { StreamPolicy } from './log/stream-policy.ts'
import { DEAD_LETTER_STREAM } from './mqtt/ingress.ts'

/** LevelDB's write buffer, of which it holds two at times. */
export const WRITE_BUFFER_BYTES = 4 * 1024 * 1024

/** `auto` is the host's name, kept to what an edge's name may have; a data directory remembers its own. */
export function edgeOf(config: BrokerConfig): { name: string; isExplicit: boolean } {
  if (config.edge !== 'auto') return { name: config.edge, isExplicit: true }
  const name = hostname()
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, 64)
  return { name: name || 'edge', isExplicit: false }
}

/** What a log that is open can take up again. */
export function logSettings(
  config: BrokerConfig,
): Required<Pick<EventLogOptions, 'streams' | 'budget' | 'dirtyShare'>> {
  const { disk, compaction } = config.log
  return {
    streams: streamsOf(config),
    budget: { bytesMax: disk.bytesMax ?? null, reserveBytes: disk.reserveBytes },
    dirtyShare: compaction.dirtyShare,
  }
}

/** The configured streams, and the dead letters where a stream can have some. */
function streamsOf(config: BrokerConfig): StreamDefinition[] {
  const streams: StreamDefinition[] = config.streams.map((stream) => ({
    name: stream.name,
    partitions: stream.partitions,
    policy: policyOf(stream),
  }))
  const hasPointer = config.streams.some(({ key }) => typeof key === 'object' && 'pointer' in key)
  const isNamed = streams.some(({ name }) => name === DEAD_LETTER_STREAM)
  return hasPointer && !isNamed ? [...streams, { name: DEAD_LETTER_STREAM, partitions: 1 }] : streams
}

function policyOf({ cleanup, retention, tombstoneSeconds, priority }: StreamConfig): StreamPolicy {
  return {
    deletes: cleanup !== 'compact',
    compacts: cleanup !== 'delete',
    retentionBytes: retention.bytes ?? null,
    retentionMs: retention.seconds === undefined ? null : retention.seconds * 1000,
    unsynced: retention.unsynced,
    priority,
    tombstoneMs: tombstoneSeconds * 1000,
  }
}
