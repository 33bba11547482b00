import { expect, it } from 'vitest'
import { Budget, type BudgetOptions } from '../../../sync/link/budget.ts'
import { linkMemory } from '../../../sync/link/link-memory.ts'

const MONTH: BudgetOptions = {
  bytes: 1_000_000,
  period: 'month',
  resetDay: 15,
  timezone: 'Europe/Berlin',
  whenUsed: 'hold',
}
const at = (text: string) => Date.parse(text)

it('a month begins on its day, at midnight in its time zone', () => {
  const budget = new Budget(MONTH, undefined)
  budget.follow(at('2026-02-03T12:00:00Z'))
  expect(budget.from).toBe(at('2026-01-14T23:00:00Z'))
  expect(budget.resetsAt).toBe(at('2026-02-14T23:00:00Z'))
  budget.spend(900_000)
  budget.follow(at('2026-02-14T22:59:00Z'))
  expect(budget.left).toBe(100_000)
  budget.follow(at('2026-02-14T23:00:00Z'))
  expect(budget.left).toBe(1_000_000)
  expect(budget.resetsAt).toBe(at('2026-03-14T23:00:00Z'))
})

it('a day begins at midnight, also when the clocks change', () => {
  const budget = new Budget({ ...MONTH, period: 'day' }, undefined)
  budget.follow(at('2026-03-29T10:00:00Z'))
  expect(budget.from).toBe(at('2026-03-28T23:00:00Z'))
  expect(budget.resetsAt).toBe(at('2026-03-29T22:00:00Z'))
})

it('without a trusted clock it counts and no period begins; the first trusted time takes over what was counted', () => {
  const budget = new Budget(MONTH, undefined)
  budget.follow(null)
  budget.spend(1_200_000)
  expect(budget.left).toBe(0)
  expect(budget.resetsAt).toBe(null)
  budget.follow(at('2026-02-03T12:00:00Z'))
  expect(budget.used).toBe(1_200_000)
  const restarted = new Budget(MONTH, budget.exact)
  restarted.follow(null)
  expect(restarted.left).toBe(0)
  restarted.follow(at('2026-02-20T12:00:00Z'))
  expect(restarted.used).toBe(0)
})

it('a clock that is set back and forth across the reset gives nothing twice', () => {
  const budget = new Budget({ ...MONTH, period: 'day', timezone: 'UTC' }, undefined)
  budget.follow(at('2026-02-03T23:59:00Z'))
  budget.spend(1_000_000)
  budget.follow(at('2026-02-04T00:01:00Z'))
  budget.spend(700_000)
  budget.follow(at('2026-02-03T23:50:00Z'))
  expect(budget.used).toBe(700_000)
  budget.follow(at('2026-02-04T00:02:00Z'))
  expect(budget.used).toBe(700_000)
})

it('a period that a wrong clock began far ahead is left for the right one, with what was counted', () => {
  const budget = new Budget(MONTH, { from: at('2031-01-15T00:00:00Z'), used: 500_000 })
  budget.follow(at('2026-02-03T12:00:00Z'))
  expect(budget.from).toBe(at('2026-01-14T23:00:00Z'))
  expect(budget.used).toBe(500_000)
})

it('remembers a mark ahead of what is used, seldom, so that a crash counts too much by a little and never too little', () => {
  const options = { ...MONTH, bytes: 1_000_000_000 }
  const budget = new Budget(options, undefined)
  budget.follow(at('2026-02-03T12:00:00Z'))
  let saved = budget.marked
  let saves = 0
  for (let i = 0; i < 10_000; i++) {
    if (budget.reserve(10_000)) {
      saved = budget.marked
      saves++
    }
    budget.spend(10_000)
    expect(saved.used).toBeGreaterThanOrEqual(budget.used)
  }
  expect(saves).toBeLessThanOrEqual(101)
  const crashed = new Budget(options, saved)
  expect(crashed.used - budget.used).toBeLessThanOrEqual(1_010_000)
  expect(new Budget(options, budget.exact).used).toBe(100_000_000)
})

it('is remembered as a fact of its link, and what is not whole counts as nothing', async () => {
  const facts = new Map<string, Buffer>()
  const memory = linkMemory({
    get: async (key) => facts.get(key),
    put: async (key, value) => void facts.set(key, Buffer.from(value)),
  })
  const state = { paused: true, budgets: { 'day/UTC': { from: 5, used: 7 } } }
  expect(await memory.load('central')).toEqual({ paused: false, budgets: {} })
  await memory.save('central', state)
  expect([...facts.keys()]).toEqual(['link/central'])
  expect(await memory.load('central')).toEqual(state)
  facts.set('link/central', Buffer.from('{"paused":true,"budgets":{"day/UTC":{"from":5,"used":"x"}}}'))
  expect(await memory.load('central')).toEqual({ paused: true, budgets: {} })
  facts.set('link/central', Buffer.from('{'))
  expect(await memory.load('central')).toEqual({ paused: false, budgets: {} })
})
