/** The cached checkpoints on a store of small facts, one JSON value an upstream. */
import type { CachedCheckpoint, CheckpointCache } from './checkpoint.ts'

/** The broker's FactStore is one; each put is fsynced. */
export interface Facts {
  get(key: string): Promise<Buffer | undefined>
  put(key: string, value: Uint8Array): Promise<void>
}

function factKey(upstream: string): string {
  return `sync/checkpoint/${upstream}`
}

export function checkpointCache(facts: Facts): CheckpointCache {
  return {
    async load(upstream) {
      const bytes = await facts.get(factKey(upstream))
      if (bytes === undefined) return null
      const value = JSON.parse(bytes.toString('utf8')) as CachedCheckpoint
      const isWhole = typeof value.incarnation === 'string' && typeof value.positions === 'object'
      return isWhole ? value : null
    },
    async save(upstream, checkpoint) {
      await facts.put(factKey(upstream), Buffer.from(JSON.stringify(checkpoint), 'utf8'))
    },
  }
}
