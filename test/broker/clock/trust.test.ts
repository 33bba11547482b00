import { describe, expect, it } from 'vitest'
import {
  type Answers,
  EARLIEST_TIME,
  EVIDENTLY_WRONG_MS,
  isTrusted,
  judge,
} from '../../../broker/clock/trust.ts'
import { DAY, T0 } from './machine.ts'

const SILENT: Answers = { timesyncd: false, kernel: null, chrony: null, rtc: null, isWaiting: false }
const trustOf = (answers: Partial<Answers>, wall = T0, earliest = EARLIEST_TIME) =>
  judge({ ...SILENT, ...answers }, wall, earliest, null).trust

describe('the trust in a clock', () => {
  it('is full when any time service calls it synchronized, whatever the others say', () => {
    expect(trustOf({ timesyncd: true, kernel: false, chrony: false })).toBe('synchronized')
    expect(trustOf({ kernel: true, chrony: false })).toBe('synchronized')
    expect(trustOf({ chrony: true, kernel: false })).toBe('synchronized')
    expect(trustOf({ kernel: true, rtc: 'rtc0' })).toBe('synchronized')
    // a log that was written by a clock that was ahead is no argument against a time service
    expect(trustOf({ kernel: true }, T0, T0 + 365 * DAY)).toBe('synchronized')
  })

  it('rests on a hardware clock while no time service has an answer', () => {
    expect(trustOf({ rtc: 'rtc0', kernel: false })).toBe('rtc')
    expect(trustOf({ rtc: 'rtc0', isWaiting: true })).toBe('rtc')
  })

  it('is none where a time service says that it is not synchronized, or has not answered', () => {
    expect(trustOf({ kernel: false })).toBe('untrusted')
    expect(trustOf({ chrony: false })).toBe('untrusted')
    expect(trustOf({ isWaiting: true })).toBe('untrusted')
  })

  it('is assumed where there is nobody to ask', () => {
    expect(trustOf({})).toBe('assumed')
  })

  it('is none where the clock is evidently wrong, hardware clock or not', () => {
    const newest = T0 + DAY
    expect(trustOf({}, T0, newest)).toBe('untrusted')
    expect(trustOf({ rtc: 'rtc0' }, T0, newest)).toBe('untrusted')
    expect(trustOf({}, 0)).toBe('untrusted')
    expect(trustOf({}, newest - EVIDENTLY_WRONG_MS, newest)).toBe('assumed')
    expect(trustOf({}, newest - EVIDENTLY_WRONG_MS - 1, newest)).toBe('untrusted')
    expect(judge(SILENT, 0, newest, null).evidence).toContain('1970-01-01T00:00:00.000Z')
  })

  it('outlives the time service, for a clock that was synchronized and not stepped', () => {
    const held = { trust: 'synchronized', evidence: 'chrony' } as const
    expect(judge({ ...SILENT, kernel: false }, T0, EARLIEST_TIME, held)).toEqual(held)
  })

  it('is trust in all but one case', () => {
    expect(['synchronized', 'rtc', 'assumed', 'untrusted'].map((trust) => isTrusted(trust as never))).toEqual(
      [true, true, true, false],
    )
  })
})
