import { expect, it } from 'vitest'
import { type Timed, TimerWheel } from '../../../../broker/mqtt/connection/timer-wheel.ts'

function timed(next: (now: number) => number = () => 0) {
  const dueAt: number[] = []
  const one: Timed & { dueAt: number[] } = {
    dueAt,
    due(now) {
      dueAt.push(now)
      return next(now)
    },
  }
  return one
}

function pass(wheel: TimerWheel, ticks: number): void {
  for (let i = 0; i < ticks; i++) wheel.tick()
}

it('who is due is asked at its tick, also after more than one turn of the wheel', () => {
  const wheel = new TimerWheel()
  const times = [1, 511, 512, 513, 2000]
  const all = times.map((ticks) => {
    const one = timed()
    wheel.set(one, ticks)
    return one
  })
  pass(wheel, 3000)
  expect(all.map(({ dueAt }) => dueAt)).toEqual(times.map((time) => [time]))
  expect(wheel.count).toBe(0)
})

it('who wants more time is asked again then', () => {
  const wheel = new TimerWheel()
  const one = timed((now) => (now < 100 ? 40 : 0))
  wheel.set(one, 30)
  pass(wheel, 300)
  expect(one.dueAt).toEqual([30, 70, 110])
})

it('a later time takes the place of an earlier one, and none is left after clear', () => {
  const wheel = new TimerWheel()
  const one = timed()
  const other = timed()
  wheel.set(one, 5)
  wheel.set(one, 9)
  wheel.set(other, 5)
  wheel.clear(other)
  pass(wheel, 20)
  expect(one.dueAt).toEqual([9])
  expect(other.dueAt).toEqual([])
})

it('who is cleared by another one in the same tick is not asked', () => {
  const wheel = new TimerWheel()
  const second = timed()
  const first = timed(() => {
    wheel.clear(second)
    return 0
  })
  wheel.set(first, 5)
  wheel.set(second, 5)
  pass(wheel, 10)
  expect(first.dueAt).toEqual([5])
  expect(second.dueAt).toEqual([])
})
