import { describe, expect, it } from 'vitest'
import { Bucket } from '../../../../broker/mqtt/door/bucket.ts'
import { NO_RATE_LIMITS, type RateLimits, Rates } from '../../../../broker/mqtt/door/rates.ts'
import { LOCAL, REMOTE } from './support.ts'

const WHO = { name: null, clientId: 'c1' }

function rates(limits: Partial<RateLimits>) {
  const clock = { now: 1000 }
  return { clock, rates: new Rates({ ...NO_RATE_LIMITS, ...limits }, () => clock.now) }
}

describe('a bucket', () => {
  it('holds two seconds of its rate, fills at it, and never above', () => {
    const bucket = new Bucket(10, 0)
    expect(bucket.charge(20, 0)).toBe(0)
    expect(bucket.charge(1, 0), 'a tenth of a second for one of ten a second').toBe(100)
    expect(bucket.charge(0, 100)).toBe(0)
    expect(bucket.charge(20, 1_000_000)).toBe(0)
    expect(bucket.charge(5, 1_000_000)).toBe(500)
  })

  it('holds one where its rate is less than one in two seconds', () => {
    const bucket = new Bucket(0.1, 0)
    expect(bucket.take(0)).toBe(true)
    expect(bucket.take(9_999)).toBe(false)
    expect(bucket.take(10_001)).toBe(true)
  })
})

describe('a client', () => {
  it('waits as long as its messages or its bytes are above their rates, whichever is longer', () => {
    const { rates: own, clock } = rates({ messagesPerSecond: 100, bytesPerSecond: 1000 })
    const quota = own.quotaOf(WHO, LOCAL)
    expect(quota.charge(200, 100)).toBe(0)
    expect(quota.charge(100, 100)).toBe(1000)
    clock.now += 1000
    expect(quota.charge(0, 0)).toBe(0)
    expect(quota.charge(0, 4000)).toBe(2000)
  })

  it('has a budget of its own', () => {
    const { rates: own } = rates({ messagesPerSecond: 1 })
    expect(own.quotaOf(WHO, LOCAL).charge(100, 1)).toBeGreaterThan(0)
    expect(own.quotaOf({ ...WHO, clientId: 'c2' }, LOCAL).charge(1, 1)).toBe(0)
    expect(own.quotaOf({ ...WHO, name: 'ann' }, LOCAL).charge(1, 1)).toBe(0)
  })

  it('has the same budget when it comes again, and a full one once it was away for long', () => {
    const { rates: own, clock } = rates({ messagesPerSecond: 1 })
    for (let i = 0; i < 3; i++) {
      const quota = own.quotaOf(WHO, LOCAL)
      expect(quota.charge(2, 1) === 0).toBe(i === 0)
      quota.release()
    }
    clock.now += 60_000
    expect(own.quotaOf(WHO, LOCAL).charge(2, 1)).toBe(0)
    expect(own.quotaOf(WHO, LOCAL).charge(1, 1), 'two connections of one client share it').toBeGreaterThan(0)
  })

  it('shares a budget with the other clients of its user, whatever client ids they have', () => {
    const { rates: own, clock } = rates({ messagesPerSecondOfUser: 100, bytesPerSecondOfUser: 1000 })
    const ann = own.quotaOf({ name: 'ann', clientId: 'c1' }, LOCAL)
    expect(ann.charge(200, 100)).toBe(0)
    ann.release()
    const again = own.quotaOf({ name: 'ann', clientId: 'c2' }, REMOTE)
    expect(again.charge(50, 0)).toBe(500)
    expect(own.quotaOf({ name: 'bob', clientId: 'c3' }, LOCAL).charge(200, 2000)).toBe(0)
    clock.now += 500
    expect(own.quotaOf({ name: 'ann', clientId: 'c4' }, LOCAL).charge(0, 0), 'nothing asks').toBe(0)
    expect(again.charge(10, 0)).toBe(100)
  })

  it('without a name shares it with those of its address', () => {
    const { rates: own } = rates({ messagesPerSecondOfUser: 100 })
    expect(own.quotaOf(WHO, LOCAL).charge(210, 0)).toBe(100)
    expect(own.quotaOf({ ...WHO, clientId: 'c2' }, LOCAL).charge(10, 0)).toBe(200)
    expect(own.quotaOf({ ...WHO, clientId: 'c2' }, REMOTE).charge(200, 0)).toBe(0)
    expect(own.quotaOf({ name: LOCAL.address, clientId: 'c2' }, LOCAL).charge(200, 0)).toBe(0)
  })

  it('has a rate of its own beside that of its user, and waits for the longer', () => {
    const { rates: own } = rates({ messagesPerSecond: 10, messagesPerSecondOfUser: 100 })
    expect(own.quotaOf(WHO, LOCAL).charge(30, 0)).toBe(1000)
    for (let n = 0; n < 9; n++) own.quotaOf({ ...WHO, clientId: `d${n}` }, LOCAL).charge(20, 0)
    expect(own.quotaOf({ ...WHO, clientId: 'e' }, LOCAL).charge(10, 0)).toBe(200)
  })

  it('is not held up without limits', () => {
    expect(rates({}).rates.quotaOf(WHO, LOCAL).charge(1e9, 1e12)).toBe(0)
  })
})

describe('connections', () => {
  it('from one address are at most so many, until some have ended', () => {
    const { rates: own } = rates({ connectionsPerAddress: 2 })
    expect([own.refuses(LOCAL), own.refuses(LOCAL)]).toEqual([null, null])
    expect(own.refuses(LOCAL)).toBe('limits.connectionsPerAddressMax is reached')
    expect(own.refuses(REMOTE), 'another address').toBeNull()
    own.left(LOCAL)
    expect(own.refuses(LOCAL)).toBeNull()
  })

  it('come at their rate: all together, and from one address', () => {
    const { rates: own, clock } = rates({ connectsPerSecond: 2, connectsPerSecondOfAddress: 1 })
    const [one, two, three] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'] as const
    expect([own.arrives(one), own.arrives(one)]).toEqual([null, null])
    expect(own.arrives(one)).toBe('limits.connectsPerSecondPerAddress is reached')
    expect([own.arrives(two), own.arrives(two)]).toEqual([null, null])
    expect(own.arrives(three)).toBe('limits.connectsPerSecond is reached')
    clock.now += 500
    expect(own.arrives(three)).toBeNull()
  })

  it('of a fleet behind one address come all at once, and again later; what goes on and on is held to its rate', () => {
    const { rates: own, clock } = rates({ connectsPerSecondOfAddress: 100, connectsAtOnceOfAddress: 2000 })
    const come = (count: number) => {
      let refused = 0
      for (let i = 0; i < count; i++) if (own.arrives('192.0.2.1') !== null) refused++
      return refused
    }
    expect(come(2000)).toBe(0)
    expect(come(50)).toBe(50)
    let refused = 0
    for (let second = 0; second < 60; second++) {
      clock.now += 1000
      refused += come(1000)
    }
    expect(refused, 'of 60,000').toBe(54_000)
    clock.now += 20_000
    expect(come(2000)).toBe(0)
  })

  it('of this machine have no rate by address', () => {
    const { rates: own } = rates({ connectsPerSecondOfAddress: 1 })
    for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '::1'])
      for (let i = 0; i < 100; i++) expect(own.arrives(address)).toBeNull()
  })

  it('from one /64 of IPv6 are those of one address, and so are IPv4 addresses however they come', () => {
    const { rates: own } = rates({ connectionsPerAddress: 1 })
    const from = (address: string) => ({ ...REMOTE, address })
    expect(own.refuses(from('2001:db8::1'))).toBeNull()
    expect(own.refuses(from('2001:db8::ffff:2'))).toBe('limits.connectionsPerAddressMax is reached')
    expect(own.refuses(from('2001:db8:0:1::1')), 'another network').toBeNull()
    expect(own.refuses(from('192.0.2.7'))).toBeNull()
    expect(own.refuses(from('::ffff:192.0.2.7'))).toBe('limits.connectionsPerAddressMax is reached')
    own.left(from('::ffff:192.0.2.7'))
    own.left(from('2001:db8::9'))
    expect([own.refuses(from('192.0.2.7')), own.refuses(from('2001:db8::7'))]).toEqual([null, null])
  })

  it('of an address that flies by with thousands of others are still counted', () => {
    const { rates: own } = rates({ connectionsPerAddress: 1 })
    expect(own.refuses(LOCAL)).toBeNull()
    for (let i = 0; i < 12_000; i++) {
      const peer = { ...LOCAL, address: `2001:db8:${i >> 8}:${i & 0xff}::1` }
      expect(own.refuses(peer)).toBeNull()
      own.left(peer)
    }
    expect(own.refuses(LOCAL)).toBe('limits.connectionsPerAddressMax is reached')
  })

  it('keep their count when the limits change', () => {
    const { rates: own } = rates({})
    own.refuses(LOCAL)
    own.update({ ...NO_RATE_LIMITS, connectionsPerAddress: 1 })
    expect(own.refuses(LOCAL)).toBe('limits.connectionsPerAddressMax is reached')
    own.left(LOCAL)
    own.update({ ...NO_RATE_LIMITS, connectionsPerAddress: 1, connectsPerSecondOfAddress: 1 })
    expect(own.refuses(LOCAL)).toBeNull()
  })
})
