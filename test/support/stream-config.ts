import type { StreamConfig } from '../../broker/config/schema.ts'

/** A stream as the configuration gives it, with its defaults for what a test does not care about. */
export function streamConfig(stream: Partial<StreamConfig> & Pick<StreamConfig, 'name'>): StreamConfig {
  return {
    topics: ['#'],
    key: 'topic',
    partitions: 4,
    cleanup: 'delete',
    retention: { unsynced: 'keep' },
    tombstoneSeconds: 86_400,
    priority: 5,
    table: false,
    ...stream,
  }
}
