import { describe, expect, it } from 'vitest'
import { clockChangeText, clockStatusText } from '../../../broker/operations/clock-text.ts'
import { fakeStatus } from './fake-log.ts'

const DAY = 86_400_000
const change = { trust: 'synchronized', evidence: 'chrony', isFirst: false, steppedMs: 0 } as const

describe('a change of the clock', () => {
  it('is one line: by how much it was stepped, and what to think of it', () => {
    const steppedMs = 5 * DAY + 3 * 3_600_000
    expect(clockChangeText({ ...change, steppedMs })).toBe(
      'the clock was stepped by +5 d 3 h; it is now synchronized (chrony)',
    )
    expect(clockChangeText({ ...change, trust: 'untrusted', evidence: 'x', steppedMs: -1200 })).toBe(
      'the clock was stepped by -1.2 s; it is now not to be trusted (x)',
    )
    expect(clockChangeText(change)).toBe('the clock is now synchronized (chrony)')
  })

  it('at the start is told where the clock is not to be trusted, with what follows from that', () => {
    expect(clockChangeText({ ...change, isFirst: true })).toBeNull()
    expect(clockChangeText({ ...change, trust: 'untrusted', evidence: 'x', isFirst: true })).toBe(
      'the clock is not to be trusted (x): retention by time stands still, and what is recorded now is marked',
    )
  })
})

describe('the clock in status', () => {
  it('is a line only where it is not to be trusted', () => {
    const { clock } = fakeStatus
    expect(clockStatusText(clock)).toBeNull()
    expect(clockStatusText({ ...clock, trust: 'untrusted', isTrusted: false, evidence: 'x' })).toMatch(
      /^not to be trusted \(x\): retention by time stands still/,
    )
  })
})
