import { describe, expect, it } from 'vitest'
import { Wear } from '../../../../broker/operations/wear/wear.ts'

const HOUR = 3_600_000

describe('wear', () => {
  it('is not told from what a start writes', () => {
    const wear = new Wear(1e12)
    wear.look(0, 1e6)
    wear.look(60_000, 9e9)
    expect(wear.report()).toEqual({
      writtenBytes: 9e9,
      bytesPerSecond: null,
      enduranceBytes: 1e12,
      lifeSeconds: null,
    })
  })

  it('is by what was written since the start, and later in the last day', () => {
    const wear = new Wear(1e12)
    wear.look(0, 0)
    for (let hour = 1; hour <= 24; hour++) wear.look(hour * HOUR, hour * 3.6e6)
    expect(wear.report()).toMatchObject({ bytesPerSecond: 1000, lifeSeconds: 1e9 })
    // the first day is over: a busy one follows
    for (let hour = 25; hour <= 48; hour++) wear.look(hour * HOUR, 24 * 3.6e6 + (hour - 24) * 3.6e7)
    expect(wear.report()).toMatchObject({ bytesPerSecond: 10_000, lifeSeconds: 1e8 })
  })

  it('tells no life where nobody said what the card takes, or nothing is counted', () => {
    const unknown = new Wear(null)
    unknown.look(0, 0)
    unknown.look(HOUR, 3.6e6)
    expect(unknown.report()).toMatchObject({ bytesPerSecond: 1000, lifeSeconds: null })
    const uncounted = new Wear(1e12)
    uncounted.look(0, null)
    uncounted.look(HOUR, null)
    expect(uncounted.report()).toEqual({
      writtenBytes: null,
      bytesPerSecond: null,
      enduranceBytes: 1e12,
      lifeSeconds: null,
    })
    const idle = new Wear(1e12)
    idle.look(0, 5)
    idle.look(HOUR, 5)
    expect(idle.report().lifeSeconds).toBeNull()
  })
})
