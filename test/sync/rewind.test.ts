/** Positions that a person moves: what is sent afterwards, in every state, and what a crash in between leaves. */
import { describe, expect, it } from 'vitest'
import { CheckpointMismatchError } from '../../sync/errors.ts'
import { type RewindChange, rewindUpstream } from '../../sync/rewind.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'
import { MemoryCache, settle, setUp, unreachable, valuesOf } from './replicator-setup.ts'

const to = (...pairs: [number, number][]): RewindChange => ({ stream: 'events', to: new Map(pairs) })

async function upToDate() {
  const parts = setUp()
  parts.log.appendMany('events', 0, 50)
  parts.log.appendMany('events', 1, 50)
  parts.replicator.start()
  await settle()
  return parts
}

describe('a rewind', () => {
  it('sends again from the offset on, of its partition alone', async () => {
    const { upstream, replicator, cache, clock, lines } = await upToDate()
    const rewound = await replicator.rewind(to([0, 20]))
    expect(rewound.partitions).toEqual([{ stream: 'events', partition: 0, from: 50, to: 20 }])
    await settle()
    expect(upstream.values.get('events/0')).toEqual([...valuesOf(0, 50), ...valuesOf(20, 50)])
    expect(upstream.values.get('events/1')).toEqual(valuesOf(0, 50, 'events/1'))
    expect(replicator.status()).toMatchObject({ state: 'idle', lagRecords: 0 })
    expect(cache.saved?.positions['events/0']).toMatchObject({ next: 20 })
    clock.advance(1000)
    await settle()
    expect(cache.saved?.positions['events/0'], 'a second later').toMatchObject({ next: 50 })
    // On purpose: nothing was lost.
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
  })

  it('skips what is below an offset further on', async () => {
    const { log, upstream, replicator, lines } = await upToDate()
    replicator.pause()
    log.appendMany('events', 0, 30)
    await settle()
    await replicator.rewind(to([0, 70], [1, 50]))
    expect(replicator.status().state).toBe('paused')
    expect(replicator.positions().get('events/0')).toBe(70)
    replicator.resume()
    await settle()
    expect(upstream.values.get('events/0')).toEqual([...valuesOf(0, 50), ...valuesOf(70, 80)])
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
  })

  it('leaves a paused upstream paused, at the new position, for retention too', async () => {
    const { upstream, replicator } = await upToDate()
    replicator.pause()
    await settle()
    await replicator.rewind(to([0, 5], [1, 6]))
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'paused', lagRecords: 45 + 44 })
    expect(replicator.positions().get('events/1')).toBe(6)
    expect(upstream.values.get('events/0')).toHaveLength(50)
  })

  it('does not wait for the end of a backoff, and says when upstream is away', async () => {
    const { upstream, replicator } = await upToDate()
    upstream.beforeRecover = () => {
      throw unreachable()
    }
    await expect(replicator.rewind(to([0, 5]))).rejects.toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE' })
    await settle()
    expect(replicator.status().state).toBe('backoff')
    upstream.beforeRecover = () => {}
    await replicator.rewind(to([0, 45]))
    await settle()
    expect(upstream.values.get('events/0')).toEqual([...valuesOf(0, 50), ...valuesOf(45, 50)])
  })

  it('refuses what the log does not have and what upstream does not allow, and changes nothing', async () => {
    const { log, upstream, replicator } = await upToDate()
    log.dropBelow('events', 0, 10)
    const refused = { code: 'HW_REWIND_REFUSED' }
    await expect(replicator.rewind(to([0, 9]))).rejects.toMatchObject(refused)
    await expect(replicator.rewind(to([0, 51]))).rejects.toMatchObject(refused)
    await expect(replicator.rewind(to([7, 0]))).rejects.toMatchObject(refused)
    upstream.beforeRecover = () => {
      throw new CheckpointMismatchError('another log is there', 'rename this one')
    }
    await expect(replicator.rewind(to([0, 20]))).rejects.toMatchObject({ code: 'HW_CHECKPOINT_MISMATCH' })
    await settle()
    expect(replicator.status().state).toBe('stopped')
    await expect(replicator.rewind(to([0, 20]))).rejects.toMatchObject({ code: 'HW_CHECKPOINT_MISMATCH' })
    expect(replicator.status().state).toBe('stopped')
    expect(upstream.positions.get('events/0')).toMatchObject({ next: 50 })
    await replicator.close()
    await expect(replicator.rewind(to([0, 20]))).rejects.toMatchObject(refused)
  })

  it('is whole after a crash on either side of the step that counts', async () => {
    for (const crash of ['before', 'after'] as const) {
      for (const target of [20, 60]) {
        const log = new MemoryLog().addStream('events', 1)
        log.appendMany('events', 0, 70)
        const upstream = new FakeUpstream()
        const cache = new MemoryCache()
        upstream.positions.set('events/0', { next: 40, proof: null })
        const place = upstream.place
        const save = async (positions: ReadonlyMap<string, number>) => {
          const entries = [...positions].map(([key, next]) => [key, { next, place }] as const)
          await cache.save('fake', {
            incarnation: log.identity.incarnation,
            positions: Object.fromEntries(entries),
          })
        }
        await save(new Map([['events/0', 40]]))
        if (crash === 'before') upstream.beforeSend = () => Promise.reject(unreachable())
        else upstream.afterSend = () => Promise.reject(unreachable())
        const change = to([0, target])
        const moving = rewindUpstream(log, log.partitions(), upstream, cache.saved, save, change)
        await expect(moving, crash).rejects.toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE' })
        upstream.beforeSend = () => {}
        upstream.afterSend = () => {}
        const { replicator, lines } = setUp({ log, upstream, cache })
        replicator.start()
        await settle()
        const from = crash === 'before' ? 40 : target
        expect(upstream.values.get('events/0'), `${crash} ${target}`).toEqual(valuesOf(from, 70))
        expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
      }
    }
  })
})
