import { describe, expect, it } from 'vitest'
import type { StreamKey } from '../../../broker/config/schema.ts'
import type { LogStream } from '../../../broker/log/log-stream.ts'
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { Router, topicMatches } from '../../../broker/mqtt/router.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { streamConfig } from '../../support/stream-config.ts'

const matches = (filter: string, topic: string) => topicMatches(filter.split('/'), topic.split('/'))

function router(streams: { name: string; topics: string[]; key?: StreamKey; partitions?: number }[]): Router {
  const configs = streams.map(streamConfig)
  return new Router(configs, (name) => {
    const { partitions } = configs.find((config) => config.name === name)!
    return { name, partitions: Array.from({ length: partitions }) } as unknown as LogStream
  })
}

describe('a topic filter', () => {
  it.each([
    ['sport/tennis/player1/#', 'sport/tennis/player1'],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking'],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon'],
    ['sport/#', 'sport'],
    ['#', 'a'],
    ['#', '/'],
    ['#', 'a/b/c'],
    ['+', 'finance'],
    ['+/+', '/finance'],
    ['/+', '/finance'],
    ['sport/+', 'sport/'],
    ['sport/+/player1', 'sport/tennis/player1'],
    ['+/tennis/#', 'sport/tennis'],
    ['+/#', 'sport'],
    ['a//b', 'a//b'],
    ['a/+/b', 'a//b'],
    ['/', '/'],
  ])('%s matches %s', (filter, topic) => expect(matches(filter, topic)).toBe(true))

  it.each([
    ['sport/tennis/+', 'sport/tennis'],
    ['sport/tennis/+', 'sport/tennis/player1/ranking'],
    ['sport/+', 'sport'],
    ['+', '/finance'],
    ['+', 'a/b'],
    ['sport/#', 'sports'],
    ['sport/tennis/#', 'sport'],
    ['a/b', 'a'],
    ['a', 'a/b'],
    ['a/b', 'a/b/'],
    ['A', 'a'],
    ['/', 'a'],
  ])('%s does not match %s', (filter, topic) => expect(matches(filter, topic)).toBe(false))

  it('matches what a regular expression made from it matches', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const level = (of: string[]) => of[random.between(0, of.length - 1)]!
    for (let i = 0; i < 3000; i++) {
      const filter = Array.from({ length: random.between(1, 4) }, () => level(['a', 'b', '', '+']))
      if (random.next() < 0.4) filter.push('#')
      const topic = Array.from({ length: random.between(1, 5) }, () => level(['a', 'b', '']))
      const parts = filter.map((part) => (part === '+' ? '[^/]*' : part))
      const pattern =
        parts.at(-1) === '#'
          ? parts.length === 1
            ? '.*'
            : `${parts.slice(0, -1).join('/')}(/.*)?`
          : parts.join('/')
      const expected = new RegExp(`^${pattern}$`).test(topic.join('/'))
      expect(topicMatches(filter, topic), `seed ${seed}: ${filter.join('/')} on ${topic.join('/')}`).toBe(
        expected,
      )
    }
  })
})

describe('a router', () => {
  it('gives a topic to the first stream with a filter for it', () => {
    const routes = router([
      { name: 'alarms', topics: ['+/alarm', 'alarms/#'] },
      { name: 'plant', topics: ['plant/#'] },
      { name: 'rest', topics: ['#'] },
    ])
    const streamOf = (topic: string) => routes.match(topic)?.stream.name
    expect(streamOf('plant/alarm')).toBe('alarms')
    expect(streamOf('alarms')).toBe('alarms')
    expect(streamOf('plant/a/alarm')).toBe('plant')
    expect(streamOf('plant')).toBe('plant')
    expect(streamOf('other')).toBe('rest')
  })

  it('has no stream for a topic that no filter takes, nor ever for one that begins with $', () => {
    expect(router([{ name: 'a', topics: ['a/#'] }]).match('b')).toBeNull()
    const all = router([{ name: 'all', topics: ['#', '+/+', '$SYS/#'] }])
    for (const topic of ['$SYS/uptime', '$share/g/a', '$', '$a/b']) expect(all.match(topic)).toBeNull()
    expect(all.match('a$')).not.toBeNull()
  })

  it('keys by the topic, with no header, and by levels, with the topic in a header', () => {
    const routes = router([
      { name: 'levels', topics: ['l/#'], key: { levels: [3, 1] } },
      { name: 'none', topics: ['n/#'], key: 'none' },
      { name: 'pointer', topics: ['p/#'], key: { pointer: '/id' } },
      { name: 'topic', topics: ['#'], partitions: 16 },
    ])
    const route = routes.match('plant/ä')!
    expect(route.key?.toString()).toBe('plant/ä')
    expect(route.partition).toBe(partitionOf(Buffer.from('plant/ä'), 16))
    expect(route.headers.toString('hex')).toBe('00')
    expect(routes.match('l/a/b/c')!.key?.toString()).toBe('c/a')
    expect(routes.match('l/a')!.key?.toString()).toBe('/a')
    expect(routes.match('l/a')!.headers.toString('latin1')).toBe('\x02\x0atopic\x06l/a')
    for (const topic of ['n/x', 'p/x']) {
      expect(routes.match(topic)).toMatchObject({ key: null, partition: null })
      expect(routes.match(topic)!.headers.toString('latin1')).toContain(topic)
    }
  })

  it('remembers a bounded number of topics, and finds each the same after it was forgotten', () => {
    const routes = router([{ name: 'all', topics: ['a/#'] }])
    const first = routes.match('a/first')
    expect(routes.match('a/first')).toBe(first)
    expect(routes.match('none')).toBeNull()
    for (let i = 0; i < 9_998; i++) routes.match(`a/${i}`)
    expect(routes.match('a/first')).toBe(first)
    routes.match('a/one more')
    const again = routes.match('a/first')
    expect(again).not.toBe(first)
    expect(again).toEqual(first)
    expect(routes.match('none')).toBeNull()
  })
})
