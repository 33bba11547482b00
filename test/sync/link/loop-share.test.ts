import { expect, it } from 'vitest'
import { LoopShare } from '../../../sync/link/loop-share.ts'
import { ManualClock } from '../replicator-setup.ts'

/** A loop on which others are busy for this share of the time while the drain waits. */
function loop(others: number) {
  const clock = new ManualClock()
  const state = { others }
  let idle = 0
  let active = 0
  const share = new LoopShare(clock, () => ({ idle, active }))
  let waited = 0
  const wait = async (ms: number) => {
    clock.advance(ms)
    waited += ms
    active += ms * state.others
    idle += ms * (1 - state.others)
  }
  /** Rounds of a backlog for a while. @returns the share of the time that they had */
  const drain = async (ms: number, roundMs: number) => {
    let working = 0
    waited = 0
    while (working + waited < ms) {
      clock.advance(roundMs)
      active += roundMs
      working += roundMs
      await share.yield(roundMs, wait)
    }
    return working / (working + waited)
  }
  return { state, share, drain }
}

it('a drain on an idle loop hardly waits', async () => {
  const { drain } = loop(0.05)
  expect(await drain(60_000, 25)).toBeGreaterThan(0.9)
})

it('a drain takes the square of what publishers leave, and a small share of its own when they leave nothing', async () => {
  expect(await loop(0.3).drain(60_000, 25)).toBeCloseTo(0.49, 1)
  expect(await loop(0.5).drain(60_000, 25)).toBeCloseTo(0.25, 1)
  const saturated = await loop(1).drain(120_000, 25)
  expect(saturated).toBeLessThan(0.08)
  expect(saturated).toBeGreaterThan(0.04)
})

it('rounds are small until it has looked, and while publishers are busy', async () => {
  const { share, state, drain } = loop(0)
  expect(share.roundBytesMax).toBeLessThan(300_000)
  await drain(60, 25)
  expect(share.roundBytesMax).toBe(Number.POSITIVE_INFINITY)
  state.others = 0.2
  await drain(1200, 25)
  expect(share.roundBytesMax).toBeLessThan(300_000)
})

it('publishers who come are seen at the first look', async () => {
  const { state, drain } = loop(0)
  await drain(10_000, 25)
  state.others = 0.9
  await drain(600, 25)
  expect(await drain(10_000, 25)).toBeLessThan(0.08)
})

it('it follows them', async () => {
  const { state, share, drain } = loop(1)
  await drain(30_000, 25)
  expect(share.roundBytesMax).toBeLessThan(1_000_000)
  state.others = 0
  await drain(5000, 25)
  expect(await drain(30_000, 25)).toBeGreaterThan(0.9)
  expect(share.roundBytesMax).toBe(Number.POSITIVE_INFINITY)
  state.others = 1
  await drain(5000, 25)
  expect(await drain(30_000, 25)).toBeLessThan(0.16)
})
