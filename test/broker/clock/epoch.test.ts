import { describe, expect, it } from 'vitest'
import { EpochHistory, type NotedEpoch } from '../../../broker/clock/epoch.ts'

const BOOT = 'boot-1'
const noted = (bootId: string, trust: NotedEpoch['trust'], difference: number, beganAt: number) => ({
  bootId,
  trust,
  difference,
  beganAt,
})

describe('the epochs of a process', () => {
  it('are those in which records were stamped: one of no record is as if it had not been', () => {
    const history = new EpochHistory(BOOT)
    history.begin('untrusted', 10, 1000, 1000)
    history.use()
    history.begin('untrusted', 20, 5000, 1000)
    history.begin('synchronized', 30, 5000, 5000)
    expect(history.since(null)).toEqual([
      { bootId: BOOT, trust: 'untrusted', difference: 1000, beganAt: 10, before: null },
      { bootId: BOOT, trust: 'synchronized', difference: 5000, beganAt: 30, before: 1030 },
    ])
  })

  it('keep a trusted one without records before one that is not: it tells what was wrong before it', () => {
    const history = new EpochHistory(BOOT)
    history.begin('untrusted', 10, 1000, 1000)
    history.use()
    history.begin('synchronized', 20, 5000, 1000)
    history.begin('untrusted', 30, 9000, 5000)
    expect(history.since(null).map(({ trust }) => trust)).toEqual(['untrusted', 'synchronized', 'untrusted'])
  })

  it('are told since the last one noted, and stay as they are once they were told', () => {
    const history = new EpochHistory(BOOT)
    history.begin('untrusted', 10, 1000, 1000)
    const [first] = history.since(null)
    expect(history.since(first!)).toEqual([])
    history.begin('synchronized', 20, 1000, 1000)
    expect(history.since(first!).map(({ beganAt }) => beganAt)).toEqual([20])
    expect(history.since(null)).toHaveLength(2)
  })

  it('go on with the last one of the process before, of the same boot, trust and clock', () => {
    const history = new EpochHistory(BOOT)
    history.begin('rtc', 900, 1000, 1000)
    expect(history.since(noted(BOOT, 'rtc', 1400, 500))).toEqual([])
    expect(history.since(noted(BOOT, 'rtc', 1600, 500))).toHaveLength(1)
    expect(history.since(noted(BOOT, 'untrusted', 1000, 500))).toHaveLength(1)
    expect(history.since(noted('boot-0', 'rtc', 1000, 500))).toHaveLength(1)
    history.use()
    history.begin('synchronized', 950, 1000, 1000)
    expect(history.since(noted(BOOT, 'rtc', 1400, 500)).map(({ trust }) => trust)).toEqual(['synchronized'])
  })

  it('begin at different moments, and the oldest are forgotten first', () => {
    const history = new EpochHistory(BOOT)
    for (let i = 0; i < 200; i++) {
      history.begin(i % 2 === 0 ? 'untrusted' : 'rtc', 10, i * 1000, 0)
      history.use()
    }
    const kept = history.since(null)
    expect(kept).toHaveLength(64)
    expect(kept.at(-1)!.difference).toBe(199_000)
    expect(new Set(kept.map(({ beganAt }) => beganAt)).size).toBe(64)
    for (const [i, epoch] of kept.slice(1).entries()) expect(epoch.beganAt).toBeGreaterThan(kept[i]!.beganAt)
    expect(history.since(kept[60]!)).toHaveLength(3)
    // the oldest that is kept does not go on with what a process before this one noted
    const { trust, difference } = kept[0]!
    expect(history.since(noted(BOOT, trust, difference, 1))).toHaveLength(64)
  })
})
