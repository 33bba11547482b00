import { describe, expect, it } from 'vitest'
import { Deadlines, type Due } from '../../../firmware-bridge/gateway/deadlines.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { FakeClock } from './fakes.ts'

function due(rung: (now: number) => void): Due {
  return { dueAt: 0, place: -1, onDue: rung }
}

describe('deadlines', () => {
  it('ring in their order, each at its time, with one timer', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const clock = new FakeClock()
    const deadlines = new Deadlines(clock)
    const start = clock.monotonic()
    const rung: number[] = []
    const wanted = Array.from({ length: 500 }, () => random.between(0, 1_000))
    const all = wanted.map((at) => due((now) => rung.push(now - start) && expect(now - start).toBe(at)))
    for (const [index, at] of wanted.entries()) deadlines.noLaterThan(all[index]!, start + at)
    for (const item of all.filter((_, index) => index % 7 === 0)) deadlines.remove(item)
    expect(clock.timers).toBe(1)
    await clock.advance(1_000)
    const expected = wanted.filter((_, index) => index % 7 !== 0).toSorted((a, b) => a - b)
    expect(rung, `HEADWATER_TEST_SEED=${seed}`).toEqual(expected)
    expect(deadlines.size).toBe(0)
    expect(clock.timers).toBe(0)
  })

  it('come nearer, and do not go away', async () => {
    const clock = new FakeClock()
    const deadlines = new Deadlines(clock)
    const start = clock.monotonic()
    const rung: number[] = []
    const item = due((now) => rung.push(now - start))
    deadlines.noLaterThan(item, start + 50)
    deadlines.noLaterThan(item, start + 90)
    deadlines.noLaterThan(item, Number.POSITIVE_INFINITY)
    deadlines.noLaterThan(item, start + 20)
    await clock.advance(100)
    expect(rung).toEqual([20])
  })

  it('that wait again for this very moment do not hold up the turn', async () => {
    const clock = new FakeClock()
    const deadlines = new Deadlines(clock)
    let times = 0
    const item = due((now) => {
      if (++times < 5) deadlines.noLaterThan(item, now)
    })
    deadlines.noLaterThan(item, clock.monotonic())
    await clock.advance(0)
    expect(times).toBe(5)
    deadlines.noLaterThan(item, clock.monotonic() + 1)
    deadlines.close()
    await clock.advance(10)
    expect(times).toBe(5)
  })
})
