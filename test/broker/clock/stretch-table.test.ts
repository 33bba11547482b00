import { describe, expect, it } from 'vitest'
import type { Epoch } from '../../../broker/clock/epoch.ts'
import { STRETCHES_MAX, StretchTable } from '../../../broker/clock/stretch-table.ts'
import type { Trust } from '../../../broker/clock/trust.ts'
import { DAY, T0 } from './machine.ts'

interface Beginning {
  readonly trust: Trust
  /** What the clock shows less what it ought to. */
  readonly wrongBy?: number
  readonly boot?: string
  /** ms after T0 by the right clock */
  readonly at?: number
  /** Whether the process used the clock before. */
  readonly isFirst?: boolean
}

/** Notes epochs of a machine whose monotonic clock is 0 at T0. */
class Chain {
  readonly table = new StretchTable()
  #wrongBy = 0

  note(commit: number, beginnings: readonly Beginning[], sealedAfter = 5): this {
    let until = 0
    const epochs = beginnings.map(({ trust, wrongBy = 0, boot = 'b1', at = 0, isFirst = false }): Epoch => {
      const before = isFirst ? null : T0 + at + this.#wrongBy
      this.#wrongBy = wrongBy
      until = T0 + at + wrongBy + sealedAfter
      return { bootId: boot, trust, difference: T0 + wrongBy, beganAt: at, before }
    })
    this.table.note(epochs, commit, until)
    return this
  }

  /** The clock of a record of this commit, stamped at this time. */
  of(commit: number, timestamp = T0) {
    return this.table.of(commit)?.(timestamp) ?? null
  }
}

const untrusted = { trust: 'untrusted' }
const corrected = (correctedTimestamp: number) => ({ trust: 'corrected', correctedTimestamp })

describe('the stretches of a chain', () => {
  it('are none while every clock was trusted', () => {
    const { table } = new Chain()
      .note(1, [{ trust: 'rtc', isFirst: true }])
      .note(9, [{ trust: 'synchronized', wrongBy: 40_000, at: 10 }])
      .note(20, [{ trust: 'assumed', boot: 'b2', isFirst: true }])
    expect(table.stretches).toEqual([])
    expect(table.last).toMatchObject({ bootId: 'b2', trust: 'assumed' })
    expect([table.of(1), table.of(9), table.of(1000)]).toEqual([null, null, null])
    expect(table.boundaries()).toEqual([])
  })

  it('say of records that nothing was noted about that they are trusted', () => {
    const chain = new Chain().note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }])
    expect(chain.of(9)).toBeNull()
    expect(chain.of(10)).toEqual(untrusted)
    expect(chain.of(1000)).toEqual(untrusted)
  })

  it('have a correction once the clock of their boot is known', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }])
      .note(15, [{ trust: 'untrusted', wrongBy: 3 * DAY, at: 1000 }])
      .note(20, [{ trust: 'synchronized', at: 2000 }])
    expect(chain.of(12, T0 - DAY)).toEqual(corrected(T0))
    expect(chain.of(17, T0 + 3 * DAY + 1500)).toEqual(corrected(T0 + 1500))
    expect(chain.of(21)).toBeNull()
    expect(chain.table.boundaries()).toEqual([10, 15, 16, 20, 21])
  })

  it('of a boot that is over are never corrected', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }])
      .note(20, [{ trust: 'untrusted', wrongBy: -DAY, boot: 'b2', isFirst: true }])
      .note(30, [{ trust: 'synchronized', boot: 'b2', at: 9 }])
    expect(chain.of(10)).toEqual(untrusted)
    expect(chain.of(19)).toEqual(untrusted)
    expect(chain.of(20, T0 - DAY)).toEqual(corrected(T0))
  })

  it('are trusted after all where the clock was right', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: -400, isFirst: true }])
      .note(20, [{ trust: 'synchronized', at: 5 }])
    expect(chain.table.stretches).toEqual([])
  })

  it('that lost their trust later begin with their own commit', () => {
    const chain = new Chain()
      .note(1, [{ trust: 'synchronized', isFirst: true }])
      .note(50, [{ trust: 'untrusted', wrongBy: 7 * DAY, at: 100 }])
    expect(chain.of(49)).toBeNull()
    expect(chain.of(51, T0 + 8 * DAY)).toEqual(untrusted)
    chain.note(60, [{ trust: 'synchronized', at: 200 }])
    expect(chain.of(51, T0 + 7 * DAY + 150)).toEqual(corrected(T0 + 150))
  })
})

describe('the commit in which the clock changed', () => {
  it('has records of both clocks, told apart by what each of them showed: a step forward', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }])
      .note(20, [{ trust: 'synchronized', at: 1000 }], 30)
    expect(chain.of(20, T0 - DAY + 1000)).toEqual(corrected(T0 + 1000))
    expect(chain.of(20, T0 - DAY + 200)).toEqual(corrected(T0 + 200))
    expect(chain.of(20, T0 + 1000)).toBeNull()
    expect(chain.of(20, T0 + 1030)).toBeNull()
  })

  it('and backward, by less than the commit waited for the disk included', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: 600, isFirst: true }])
      .note(20, [{ trust: 'synchronized', at: 10_000 }], 400)
    expect(chain.of(20, T0 + 10_600)).toEqual(corrected(T0 + 10_000))
    expect(chain.of(20, T0 + 10_500)).toEqual(corrected(T0 + 9_900))
    expect(chain.of(20, T0 + 10_000)).toBeNull()
    expect(chain.of(20, T0 + 10_400)).toBeNull()
    // rounded the other way
    expect(chain.of(20, T0 + 9_999)).toBeNull()
    expect(chain.of(20, T0 + 10_401)).toBeNull()
  })

  it('is not misled where the chain had no record for hours before or after the step', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: 120_000, isFirst: true }])
      .note(20, [{ trust: 'synchronized', at: 10_000 }], 180_000)
    // stamped three minutes after the clock was set back by two
    expect(chain.of(20, T0 + 190_000)).toBeNull()
    expect(chain.of(20, T0 + 70_000)).toBeNull()
  })

  it('can have several changes in it', () => {
    const chain = new Chain().note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }]).note(20, [
      { trust: 'untrusted', wrongBy: -2 * DAY, at: 1000 },
      { trust: 'untrusted', wrongBy: DAY, at: 1010 },
      { trust: 'synchronized', at: 1020 },
    ])
    for (const [wrongBy, at] of [
      [-DAY, 990],
      [-2 * DAY, 1005],
      [DAY, 1015],
    ] as const) {
      expect(chain.of(20, T0 + wrongBy + at)).toEqual(corrected(T0 + at))
    }
    expect(chain.of(20, T0 + 1022)).toBeNull()
    expect(chain.table.boundaries()).toEqual([10, 20, 21])
  })

  it('has records of one clock alone where a process began with it', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }])
      .note(20, [{ trust: 'synchronized', boot: 'b2', isFirst: true }])
    expect(chain.of(20, T0 - DAY)).toBeNull()
    expect(chain.table.boundaries()).toEqual([10, 20])
  })
})

describe('asked about many commits', () => {
  it('tells whether a trusted clock stamped them all', () => {
    const { table } = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }])
      .note(20, [{ trust: 'synchronized', at: 9 }])
      .note(40, [{ trust: 'untrusted', wrongBy: -DAY, boot: 'b2', isFirst: true }])
    expect(table.isTrustedThroughout(1, 9)).toBe(true)
    expect(table.isTrustedThroughout(1, 10)).toBe(false)
    expect(table.isTrustedThroughout(20, 30)).toBe(false) // 20 has some of both
    expect(table.isTrustedThroughout(21, 39)).toBe(true)
    expect(table.isTrustedThroughout(21, 40)).toBe(false)
    expect(table.isTrustedThroughout(100, 100)).toBe(false)
  })
})

describe('the size of the table', () => {
  it('is bounded: the oldest stretches become one that is not trusted', () => {
    const chain = new Chain()
    for (let boot = 0; boot < 1000; boot++) {
      const b = `b${boot}`
      chain.note(boot * 10 + 1, [{ trust: 'untrusted', wrongBy: -DAY, boot: b, isFirst: true }])
      chain.note(boot * 10 + 5, [{ trust: 'synchronized', boot: b, at: 60_000 }])
    }
    expect(chain.table.stretches.length).toBe(STRETCHES_MAX)
    expect(chain.of(1)).toEqual(untrusted)
    expect(chain.of(6)).toEqual(untrusted)
    expect(chain.of(9992, T0 - DAY)).toEqual(corrected(T0))
    expect(chain.of(9996)).toBeNull()
    expect(chain.of(9000 + 2, T0 - DAY)).toEqual(corrected(T0))
  })

  it('does not grow with boots that never learn the time', () => {
    const chain = new Chain()
    for (let boot = 0; boot < 1000; boot++) {
      chain.note(boot + 1, [{ trust: 'untrusted', wrongBy: -boot * DAY, boot: `b${boot}`, isFirst: true }])
    }
    expect(chain.table.stretches.length).toBe(2)
  })

  it('does not keep what the chain no longer has', () => {
    const chain = new Chain()
      .note(10, [{ trust: 'untrusted', wrongBy: -DAY, isFirst: true }])
      .note(20, [{ trust: 'synchronized', at: 9 }])
      .note(40, [{ trust: 'untrusted', wrongBy: -DAY, boot: 'b2', isFirst: true }])
    chain.table.trim(20)
    expect(chain.of(20, T0 - DAY)).toEqual(corrected(T0))
    chain.table.trim(21)
    expect(chain.table.stretches.map(({ commit }) => commit)).toEqual([40])
    chain.table.trim(100)
    expect(chain.of(100)).toEqual(untrusted)
  })
})
