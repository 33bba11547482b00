/** The rows of decideStart's table that need no upstream: where to go on, and what is told. */
import { describe, expect, it } from 'vitest'
import { type CachedCheckpoint, decideStart } from '../../sync/checkpoint.ts'
import type { LookBack, RecoveredPartition } from '../../sync/upstream.ts'
import { MemoryLog } from './memory-log.ts'

const HERE = 'cluster/topic'

function newLog(count = 50, start = 0): MemoryLog {
  const log = new MemoryLog().addStream('events', 1)
  log.appendMany('events', 0, count)
  log.dropBelow('events', 0, start)
  return log
}

async function decide(
  log: MemoryLog,
  found: Partial<RecoveredPartition>,
  memory?: { next: number; place?: string },
) {
  const partitions = new Map([['events/0', { next: null, proof: null, place: HERE, ...found }]])
  const positions = { 'events/0': { place: HERE, ...memory! } }
  const cached: CachedCheckpoint | null =
    memory === undefined ? null : { incarnation: log.identity.incarnation, positions }
  const start = await decideStart(log, log.partitions(), { partitions }, cached)
  const refusal = start.refused.get('events')
  if (refusal !== undefined) throw refusal
  return { position: start.positions.get('events/0'), warnings: start.warnings }
}

const sees = (answer: LookBack) => async () => answer
const found = (next: number) => sees({ kind: 'found', next })

describe('where an upstream goes on', () => {
  it('is its checkpoint, and nobody looks back', async () => {
    const lookBack = () => Promise.reject(new Error('looked back'))
    expect(await decide(newLog(), { next: 20, lookBack }, { next: 10 })).toEqual({
      position: 20,
      warnings: [],
    })
  })

  it('is what is remembered, or further, where the checkpoint expired', async () => {
    expect(await decide(newLog(), {}, { next: 10 })).toEqual({ position: 10, warnings: [] })
    expect(await decide(newLog(), { lookBack: found(15) }, { next: 10 })).toEqual({
      position: 15,
      warnings: [],
    })
    expect((await decide(newLog(), { lookBack: found(5) }, { next: 10 })).position).toBe(10)
  })

  it('is behind its own records where nothing else is known, else the start of the log', async () => {
    const behind = await decide(newLog(), { lookBack: found(15) })
    expect(behind.position).toBe(15)
    expect(behind.warnings.join()).toMatch(/no checkpoint of events\/0 but its records below 15/)
    const unknown = sees({ kind: 'unknown', reason: 'far' })
    expect(await decide(newLog(50, 10), { lookBack: unknown })).toEqual({ position: 10, warnings: [] })
    expect(await decide(newLog(), { lookBack: sees({ kind: 'none' }) })).toEqual({
      position: 0,
      warnings: [],
    })
  })

  it('is behind what is there where the checkpoint fell back', async () => {
    expect((await decide(newLog(), { next: 20, lookBack: found(45) }, { next: 40 })).position).toBe(45)
    const part = await decide(newLog(), { next: 20, lookBack: found(30) }, { next: 40 })
    expect(part.position).toBe(30)
    expect(part.warnings).toEqual(['upstream lost 10 acknowledged records of events/0: 10 are sent again'])
    const none = await decide(newLog(), { next: 20, lookBack: sees({ kind: 'none' }) }, { next: 40 })
    expect(none.position).toBe(20)
  })

  it('is behind what is left where upstream lost records, and what is gone on both sides is counted', async () => {
    const lost = await decide(newLog(50, 25), { next: 20, acknowledged: 40 }, { next: 38 })
    expect(lost.position).toBe(20)
    expect(lost.warnings).toEqual([
      'upstream lost 20 acknowledged records of events/0: 15 are sent again, 5 are gone: retention removed them here',
    ])
    const all = await decide(newLog(), { next: null, acknowledged: 40 })
    expect(all.position).toBe(0)
    expect(all.warnings.join()).toMatch(/upstream lost 40 .* 40 are sent again$/)
  })

  it('is the start of the log in another place, which is told', async () => {
    const other = await decide(newLog(50, 10), {}, { next: 40, place: 'other' })
    expect(other.position).toBe(10)
    expect(other.warnings.join()).toMatch(/another place .* of 40 records .* 30 are sent again, 10 are gone/)
  })

  it('is nowhere where looking back sees more than the log has', async () => {
    await expect(decide(newLog(50), { lookBack: found(60) })).rejects.toMatchObject({
      code: 'HW_CHECKPOINT_AHEAD',
    })
  })
})
