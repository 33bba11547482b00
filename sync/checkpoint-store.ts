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
    load: (upstream) => load(facts, upstream),
    async save(upstream, checkpoint) {
      await facts.put(factKey(upstream), Buffer.from(JSON.stringify(checkpoint), 'utf8'))
    },
  }
}

async function load(facts: Pick<Facts, 'get'>, upstream: string): Promise<CachedCheckpoint | null> {
  const bytes = await facts.get(factKey(upstream))
  if (bytes === undefined) return null
  const value = JSON.parse(bytes.toString('utf8')) as CachedCheckpoint
  const isWhole = typeof value.incarnation === 'string' && typeof value.positions === 'object'
  return isWhole ? value : null
}

/** @returns what an upstream is known to have acknowledged of this log, by `partitionKey`; for those who only read the facts */
export async function rememberedPositions(
  facts: Pick<Facts, 'get'>,
  upstream: string,
  incarnation: string,
): Promise<Map<string, number>> {
  const found = await load(facts, upstream).catch(() => null)
  const positions = found?.incarnation === incarnation ? found.positions : {}
  return new Map(Object.entries(positions).map(([key, { next }]) => [key, next]))
}
