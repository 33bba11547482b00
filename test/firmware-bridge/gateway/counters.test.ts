import { describe, expect, it } from 'vitest'
import { RateMeter } from '../../../firmware-bridge/gateway/counters.ts'
import { RateLimit } from '../../../firmware-bridge/gateway/rate-limit.ts'
import { RoundTrip } from '../../../firmware-bridge/gateway/round-trip.ts'

describe('the rate of a device', () => {
  it('is that of the last ten seconds and the present ones', () => {
    const meter = new RateMeter()
    for (let ms = 0; ms < 60_000; ms += 100) meter.mark(ms)
    expect(meter.perSecond(60_000)).toBeCloseTo(10, 0)
    expect(meter.perSecond(65_000)).toBeCloseTo(5, 0)
    expect(meter.perSecond(90_000)).toBe(0)
  })
})

describe('the limit of a peer', () => {
  it('is twice a second’s worth at once, and a second’s worth a second', () => {
    const limit = new RateLimit(10, 0)
    const taken = (now: number) => {
      let times = 0
      while (limit.take(now)) times++
      return times
    }
    expect(taken(0)).toBe(20)
    expect(taken(500)).toBe(5)
    expect(taken(1_000)).toBe(5)
    expect(taken(100_000)).toBe(20)
  })
})

describe('the round trip', () => {
  it('follows slowly', () => {
    const trip = new RoundTrip()
    expect(trip.ms).toBeNull()
    trip.measure(80)
    expect(trip.ms).toBe(80)
    trip.measure(160)
    expect(trip.ms).toBe(90)
  })
})
