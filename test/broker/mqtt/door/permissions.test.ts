import { describe, expect, it } from 'vitest'
import { covers, type PermissionRule, Permissions } from '../../../../broker/mqtt/door/permissions.ts'
import { topicMatches } from '../../../../broker/mqtt/router.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'

const rule = (changes: Partial<PermissionRule>): PermissionRule => ({
  users: ['*'],
  publish: [],
  subscribe: [],
  ...changes,
})
const of = (rules: PermissionRule[], name: string | null, clientId = 'c1') =>
  Permissions.of(rules, { name, clientId })

describe('permissions', () => {
  it('deny what no rule allows', () => {
    const nothing = of([], 'a')
    expect(nothing.mayPublish('a')).toBe(false)
    expect(nothing.maySubscribe('a')).toBe(false)
    const one = of([rule({ users: ['a'], publish: ['plant/+/state'] })], 'a')
    expect(one.mayPublish('plant/1/state')).toBe(true)
    expect(one.mayPublish('plant/1/2/state')).toBe(false)
    expect(one.maySubscribe('plant/1/state')).toBe(false)
  })

  it('are those of the rules that name the user, "anonymous" where there is none', () => {
    const rules = [
      rule({ users: ['sensor-*'], publish: ['s/#'] }),
      rule({ users: ['anonymous'], publish: ['open'] }),
      rule({ users: ['b.d'], publish: ['dot'] }),
    ]
    expect(of(rules, 'sensor-7').mayPublish('s/1')).toBe(true)
    expect(of(rules, 'my-sensor-7').mayPublish('s/1')).toBe(false)
    expect(of(rules, null).mayPublish('open')).toBe(true)
    expect(of(rules, null).mayPublish('s/1')).toBe(false)
    expect(of(rules, 'bxd').mayPublish('dot'), 'a dot is a dot').toBe(false)
  })

  it('put the client id and the user name into %c and %u', () => {
    const rules = [rule({ publish: ['d/%c/#', 'u/%u'], subscribe: ['cmd/%c'] })]
    const one = of(rules, 'ann', 'dev-1')
    expect(one.mayPublish('d/dev-1/t')).toBe(true)
    expect(one.mayPublish('d/dev-2/t')).toBe(false)
    expect(one.mayPublish('u/ann')).toBe(true)
    expect(one.maySubscribe('cmd/dev-1')).toBe(true)
    expect(one.maySubscribe('cmd/+')).toBe(false)
  })

  it('let no client id or name reach into the topics of others', () => {
    const rules = [rule({ publish: ['d/%c/x', 'u/%u'], subscribe: ['d/%c'] })]
    for (const id of ['+', '#', 'a/b', '']) {
      expect(of(rules, 'ann', id).mayPublish('d/other/x'), id).toBe(false)
      expect(of(rules, 'ann', id).mayPublish(`d/${id}/x`), id).toBe(false)
      expect(of(rules, 'ann', id).maySubscribe('d/+'), id).toBe(false)
    }
    expect(of(rules, '+', 'c').mayPublish('u/anybody')).toBe(false)
    expect(of(rules, 'ann', '%u').mayPublish('d/%u/x'), 'what is put in is not looked at again').toBe(true)
    expect(of(rules, null).mayPublish('u/null')).toBe(false)
  })

  it('let no client id or name reach into topics of the broker, which begin with "$"', () => {
    const rules = [rule({ publish: ['%u/x'], subscribe: ['%c/#', '$mine/%c/#'] })]
    const one = (id: string) => of(rules, id, id)
    expect(one('$replay').maySubscribe('$replay/events/earliest')).toBe(false)
    expect(one('$SYS').maySubscribe('$SYS/#')).toBe(false)
    expect(one('$a').mayPublish('$a/x')).toBe(false)
    expect(one('a$').maySubscribe('a$/#')).toBe(true)
    expect(one('$a').maySubscribe('$mine/$a/b')).toBe(true)
  })

  it('keep "$" topics from wildcards at the front', () => {
    const one = of([rule({ publish: ['#'], subscribe: ['#', '$SYS/#'] })], 'a')
    expect(one.mayPublish('$SYS/x')).toBe(false)
    expect(one.maySubscribe('$SYS/broker/uptime')).toBe(true)
    expect(of([rule({ subscribe: ['#'] })], 'a').maySubscribe('$SYS/#')).toBe(false)
    expect(of([rule({ subscribe: ['#'] })], 'a').maySubscribe('#')).toBe(true)
  })

  it('allow a subscription only where a filter covers it whole', () => {
    const cover = (allowed: string, wanted: string) => covers(allowed.split('/'), wanted.split('/'))
    expect(cover('plant/#', 'plant/+/state')).toBe(true)
    expect(cover('plant/#', 'plant')).toBe(true)
    expect(cover('plant/+', 'plant/#')).toBe(false)
    expect(cover('plant/+/state', 'plant/+/state')).toBe(true)
    expect(cover('plant/1', 'plant/+')).toBe(false)
    expect(cover('+', '+')).toBe(true)
    expect(cover('a/b', 'a/b/c')).toBe(false)
    expect(cover('a/b/c', 'a/b')).toBe(false)
    expect(cover('#', '$SYS/#')).toBe(false)
  })

  const SEED = testSeed()
  it(`let no subscription through that takes a topic which is not allowed, seed ${SEED}`, () => {
    const random = seededRandom(SEED)
    const pick = <T>(list: readonly T[]): T => list[random.between(0, list.length - 1)]!
    const levels = (some: readonly string[]) => Array.from({ length: random.between(1, 4) }, () => pick(some))
    const filter = () => [...levels(['a', 'b', '+']), ...(random.next() < 0.3 ? ['#'] : [])]
    let covered = 0
    for (let i = 0; i < 20_000; i++) {
      const [allowed, wanted, topic] = [filter(), filter(), levels(['a', 'b'])]
      if (!covers(allowed, wanted)) continue
      covered++
      if (topicMatches(wanted, topic))
        expect(topicMatches(allowed, topic), `${allowed} ${wanted} ${topic}`).toBe(true)
    }
    expect(covered).toBeGreaterThan(500)
  })
})
