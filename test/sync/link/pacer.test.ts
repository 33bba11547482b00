import { describe, expect, it } from 'vitest'
import { PacedSource } from '../../../sync/audit/paced-source.ts'
import { Pacer } from '../../../sync/link/pacer.ts'
import { handSource, recordsOf, verify } from '../audit/audited-log.ts'
import { hastyClock } from '../hasty-clock.ts'
import { MemoryLog } from '../memory-log.ts'

const CAP = { bytesPerSecond: 1000, burstBytes: 1000 }

describe('a reader held to a cap', () => {
  it('reads as fast as it may in the mean, one request at a time, whatever each brings', async () => {
    const clock = hastyClock()
    const pacer = new Pacer(CAP, clock)
    let underWay = 0
    const sizes = [400, 3000, 10, 900, 2000, 1]
    const ends = sizes.map((bytes) =>
      pacer.take(
        async () => {
          expect(++underWay).toBe(1)
          await new Promise((resolve) => setImmediate(resolve))
          underWay--
          return clock.time
        },
        () => bytes,
      ),
    )
    const times = await Promise.all(ends)
    // After 400 there are 600 left; 3000 more are a debt of 2400 bytes, or seconds and a byte more.
    expect(times).toEqual([0, 0, 2401, 2410, 3310, 5310].map((ms) => expect.closeTo(ms, -1)))
    expect(pacer.bytesMax).toBe(1000)
  })

  it('goes on after a request that failed, which counts', async () => {
    const clock = hastyClock()
    const pacer = new Pacer(CAP, clock)
    const failing = pacer.take(
      () => Promise.reject(new Error('broken')),
      () => 5000,
    )
    await expect(failing).rejects.toThrow('broken')
    const at = await pacer.take(
      async () => clock.time,
      () => 0,
    )
    expect(at).toBeGreaterThanOrEqual(4000)
  })

  it('ends at once when nobody wants it any more', async () => {
    const clock = hastyClock()
    const pacer = new Pacer(CAP, clock)
    pacer.spend(1_000_000)
    pacer.close()
    await pacer.wait()
    expect(clock.time).toBe(0)
  })
})

describe('a source of the verification that is held to a cap', () => {
  it('gives all its records, and takes the time that they cost', async () => {
    const log = new MemoryLog().addStream('events', 1)
    const value = 'v'.repeat(490)
    for (let i = 0; i < 20; i++) log.append('events', 0, [{ key: null, value }])
    const items = recordsOf(log, 'events', 0).map((record) => {
      return { kind: 'records', place: '', stream: 'events', partition: 0, records: [record] } as const
    })
    const clock = hastyClock()
    const source = new PacedSource(handSource(items), new Pacer(CAP, clock))
    expect(await verify(log, source)).toMatchObject({ isWhole: true, partitions: [{ compared: 20 }] })
    // 10,000 bytes, of which the first 1,000 were to be had.
    expect(clock.time).toBeGreaterThanOrEqual(9000)
    expect(clock.time).toBeLessThan(10_000)
  })
})
