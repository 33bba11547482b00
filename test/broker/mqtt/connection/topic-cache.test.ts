import { expect, it } from 'vitest'
import { TopicCache } from '../../../../broker/mqtt/connection/topic-cache.ts'
import type { Hub } from '../../../../broker/mqtt/hub/hub.ts'
import { DEFAULT_PACKET_LIMITS } from '../../../../broker/mqtt/packets/limits.ts'
import { MqttProtocolError } from '../../../../broker/mqtt/packets/protocol-error.ts'
import type { Route, Router } from '../../../../broker/mqtt/router.ts'

function setUp() {
  const asked: string[] = []
  const router = {
    generation: 1,
    match(topic: string) {
      asked.push(topic)
      return { topic } as unknown as Route
    },
  }
  const cache = new TopicCache(router as Router, DEFAULT_PACKET_LIMITS)
  const find = (text: string, before = '', after = '') => {
    const bytes = Buffer.from(before + text + after)
    const from = Buffer.byteLength(before)
    return cache.find(bytes, from, from + Buffer.byteLength(text))
  }
  return { find, asked, router }
}

it('a topic is validated and routed once, wherever its bytes lie', () => {
  const { find, asked } = setUp()
  const entry = find('a/°C')
  expect(entry).toMatchObject({ topic: 'a/°C', route: { topic: 'a/°C' } })
  expect(find('a/°C', 'xx', 'yy')).toBe(entry)
  expect(find('a/°')).toMatchObject({ route: { topic: 'a/°' } })
  expect(find('a/°C').route).toBe(entry.route)
  expect(asked).toEqual(['a/°C', 'a/°'])
})

it('a topic is routed again once there are other routes, in entries that somebody holds, too', () => {
  const { find, asked, router } = setUp()
  const held = find('a')
  const before = held.route
  router.generation++
  expect(held.route).not.toBe(before)
  expect(find('a').route).toBe(held.route)
  expect(asked).toEqual(['a', 'a'])
})

it('what it knows does not change with the bytes it was found in', () => {
  const { find } = setUp()
  const bytes = Buffer.from('a/b')
  const entry = find('a/b')
  bytes.fill(0)
  expect(entry.topic).toBe('a/b')
  expect(find('a/b')).toBe(entry)
})

it('two topics of one hash are told apart', () => {
  const { find } = setUp()
  const seen = new Map<number, string>()
  let pair: [string, string] | undefined
  for (let i = 0; pair === undefined; i++) {
    const text = `t${i.toString(36)}`
    let hash = 0x811c9dc5
    for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
    const other = seen.get(hash)
    if (other !== undefined) pair = [other, text]
    seen.set(hash, text)
  }
  const [one, other] = pair
  for (const text of [one, other, one, other]) expect(find(text).topic).toBe(text)
})

it('what is no topic name is refused each time', () => {
  const { find } = setUp()
  for (const text of ['', 'a/+', 'a/#', 'a\0', 'a\u0001']) {
    for (let i = 0; i < 2; i++) expect(() => find(text)).toThrow(MqttProtocolError)
  }
})

it('takers are asked for once until a subscription has changed', () => {
  const { find } = setUp()
  const hub = {
    generation: 0,
    has: false,
    asked: 0,
    hasTakers() {
      hub.asked++
      return hub.has
    },
    pressuresOf: () => [],
  }
  const entry = find('a')
  const ask = () => entry.hasTakers(hub as unknown as Hub)
  expect([ask(), ask()]).toEqual([false, false])
  hub.has = true
  expect(ask()).toBe(false)
  hub.generation++
  expect([ask(), ask()]).toEqual([true, true])
  expect(hub.asked).toBe(2)
})
