import { describe, expect, it } from 'vitest'
import { BatchLimits } from '../../../sync/kafka/batch-limits.ts'

describe('how large a batch may be', () => {
  it('is what is configured, until a topic refuses one: then it is less for that topic alone', () => {
    const limits = new BatchLimits(1_000_000)
    limits.lower('small', 3000)
    limits.lower('small', 5000)
    expect(limits.of('small')).toBe(3000)
    expect(limits.of('other')).toBe(1_000_000)
    limits.lower('small', 0)
    expect(limits.of('small')).toBe(1)
  })

  it('is found out again after a record that is too large by itself', () => {
    const limits = new BatchLimits(1_000_000)
    limits.lower('small', 3000)
    limits.forget('small')
    expect(limits.of('small')).toBe(1_000_000)
  })
})
