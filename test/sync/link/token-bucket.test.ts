import { expect, it } from 'vitest'
import { TokenBucket } from '../../../sync/link/token-bucket.ts'
import { ManualClock } from '../replicator-setup.ts'

it('lets its rate through, evenly, whatever the sizes are', () => {
  const clock = new ManualClock()
  const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 1000 }, clock)
  const startedAt = clock.time
  const sent: { at: number; bytes: number }[] = []
  for (let i = 0; i < 400; i++) {
    clock.advance(bucket.waitMs())
    expect(bucket.waitMs()).toBe(0)
    const bytes = 10 + ((i * 97) % bucket.roundBytesMax)
    bucket.spend(bytes)
    sent.push({ at: clock.time - startedAt, bytes })
  }
  const total = sent.reduce((sum, { bytes }) => sum + bytes, 0)
  const seconds = sent.at(-1)!.at / 1000
  expect(total / seconds).toBeGreaterThan(980)
  expect((total - 2000) / seconds).toBeLessThanOrEqual(1000)
  for (let from = 0; from + 5000 < sent.at(-1)!.at; from += 500) {
    const inWindow = sent.filter(({ at }) => at >= from && at < from + 5000)
    const bytes = inWindow.reduce((sum, each) => sum + each.bytes, 0)
    expect(bytes).toBeGreaterThan(2900)
    expect(bytes).toBeLessThan(7100)
  }
})

it('a pause earns no more than the burst', () => {
  const clock = new ManualClock()
  const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 1500 }, clock)
  clock.advance(3_600_000)
  bucket.spend(1500)
  expect(bucket.waitMs()).toBeGreaterThan(0)
  clock.advance(bucket.waitMs())
  expect(bucket.waitMs()).toBe(0)
})

it('what was too much is paid before anything goes again', () => {
  const clock = new ManualClock()
  const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 1000 }, clock)
  bucket.spend(11_000)
  expect(bucket.waitMs()).toBe(10_001)
  clock.advance(9000)
  expect(bucket.waitMs()).toBe(1001)
})
