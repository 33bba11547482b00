import { expect, test } from 'vitest'
import {
  changeText,
  configChanges,
  isLive,
  pendingChange,
  withLiveChanges,
} from '../../../broker/config/changes.ts'
import { entryChanges } from '../../../broker/config/entry-changes.ts'
import { defaultConfig } from '../../../broker/config/load.ts'
import type { Config } from '../../../broker/config/schema.ts'
import { streamConfig } from '../../support/stream-config.ts'

const before = (): Config => {
  const config = defaultConfig('/data')
  config.streams = [streamConfig({ name: 'a.b', topics: ['a'] }), streamConfig({ name: 'events' })]
  return config
}

function after(change: (config: Config) => void): Config {
  const config = before()
  change(config)
  return config
}

const keys = (change: (config: Config) => void) =>
  configChanges(before(), after(change)).map((one) => `${isLive(one) ? 'live ' : ''}${one.path.join('.')}`)

test('a configuration that is the same has no changes', () => {
  expect(keys(() => {})).toEqual([])
})

test('each key that differs is named, streams by their names', () => {
  const found = keys((config) => {
    config.mqtt.anonymous = true
    config.mqtt.listeners.push({ address: '1' })
    config.limits.connectsPerSecond = 5
    config.limits.sessionsMax = 5
    config.streams[0]!.writer = 'plc'
    config.streams[1]!.priority = 1
    config.streams[1]!.table = true
    config.log.segmentBytes = 2_000_000
    config.log.compaction.dirtyShare = 0.1
    config.data = '/other'
  })
  expect(found.sort()).toEqual(
    [
      'data',
      'limits.sessionsMax',
      'live limits.connectsPerSecond',
      'live mqtt.anonymous',
      'live streams.a.b.writer',
      'live log.compaction.dirtyShare',
      'live streams.events.priority',
      'log.segmentBytes',
      'live mqtt.listeners',
      'streams.events.table',
    ].sort(),
  )
})

test('another order of streams, a new stream and one that goes are taken up', () => {
  expect(keys((config) => config.streams.reverse())).toEqual(['live streams.order'])
  expect(keys((config) => config.streams.unshift(streamConfig({ name: 'new' })))).toEqual([
    'live streams.new',
  ])
  expect(keys((config) => config.streams.shift())).toEqual(['live streams.a.b'])
})

test('a stream that comes with a table has it after a restart', () => {
  const next = after((config) => config.streams.unshift(streamConfig({ name: 'new', table: true })))
  const changes = configChanges(before(), next)
  expect(changes.filter((one) => !isLive(one)).map(pendingChange)).toEqual([
    { key: 'streams.new.table', reason: 'tables are built, and removed, at the start' },
  ])
  const running = withLiveChanges(before(), next)
  expect(running.streams[0]).toMatchObject({ name: 'new', table: false })
  expect(configChanges(running, next).map(({ path }) => path.join('.'))).toEqual(['streams.new.table'])
})

test('what runs afterwards has the live changes, and nothing else', () => {
  const next = after((config) => {
    config.mqtt.permissions = [{ users: ['*'], publish: ['#'], subscribe: [] }]
    config.limits.messagesPerSecondPerClient = 100
    config.limits.sessionsMax = 5
    config.streams[0]!.writer = 'plc'
    config.streams[1]!.topics = ['x']
    config.streams[1]!.table = true
    config.streams.unshift(streamConfig({ name: 'first', topics: ['f'] }))
  })
  const running = withLiveChanges(before(), next)
  expect(running.streams.map(({ name, topics }) => [name, ...topics])).toEqual([
    ['first', 'f'],
    ['a.b', 'a'],
    ['events', 'x'],
  ])
  expect(configChanges(running, next).map(({ path }) => path.join('.'))).toEqual([
    'limits.sessionsMax',
    'streams.events.table',
  ])
  const back = withLiveChanges(running, before())
  expect(configChanges(before(), back)).toEqual([])
})

test('a change is told with both values', () => {
  const [change] = configChanges(
    before(),
    after((config) => {
      config.streams[0]!.writer = 'plc'
    }),
  )
  expect(changeText(change!)).toBe('streams.a.b.writer: not set -> "plc"')
})

test('a stream that comes or goes is told in words', () => {
  const lines = (change: (config: Config) => void) =>
    configChanges(before(), after(change)).map((one) => changeText(one))
  expect(
    lines((config) => config.streams.unshift(streamConfig({ name: 'new', topics: ['n/#', 'm'] }))),
  ).toEqual(['streams.new: added, for n/#, m'])
  expect(lines((config) => config.streams.shift())).toEqual([
    'streams.a.b: removed; what it holds stays, and no message goes to it',
  ])
  expect(lines((config) => config.streams.reverse())).toEqual([
    'streams: they come in another order: events, a.b',
  ])
})

test('the changes of upstreams are told by key, and secrets are not', () => {
  const one = { name: 'central', sasl: { password: 'old-secret' }, bandwidth: { bytesPerSecond: 1000 } }
  const two = { name: 'central', sasl: { password: 'new-secret' }, bandwidth: { bytesPerSecond: 2000 } }
  const found = entryChanges(
    'upstreams',
    [one, { name: 'gone' }],
    [two, { name: 'new' }],
    new Set(['password']),
  )
  expect(found.lines).toEqual([
    'upstreams.gone: removed; what it has acknowledged stays remembered',
    'upstreams.new: added',
    'upstreams.central.sasl.password: (not shown) -> (not shown)',
    'upstreams.central.bandwidth.bytesPerSecond: 1000 -> 2000',
  ])
  expect([found.added, found.removed, found.changed].map((list) => list.map(({ name }) => name))).toEqual([
    ['new'],
    ['gone'],
    ['central'],
  ])
  const whole = entryChanges('upstreams', [{ name: 'a' }], [{ ...one, name: 'a' }], new Set(['password']))
  expect(whole.lines.join()).not.toContain('secret')
  expect(entryChanges('upstreams', [one], [structuredClone(one)], new Set()).lines).toEqual([])
})

test('of listeners it is told what becomes of each, by its address', () => {
  const one = { address: '127.0.0.1:1883' }
  const tls = { certFile: '/crt', keyFile: '/key' }
  const text = (from: Config['mqtt']['listeners'], to: Config['mqtt']['listeners']) => {
    const has = (listeners: typeof from) =>
      after((config) => {
        config.mqtt.listeners = listeners
      })
    return configChanges(has(from), has(to)).map((change) => changeText(change))
  }
  expect(text([one], [one])).toEqual([])
  expect(text([one], [one, { address: '8883', tls }])).toEqual(['mqtt.listeners: 8883 added'])
  expect(text([one, { address: '8883', tls }], [{ address: '8883' }])).toEqual([
    'mqtt.listeners: 8883 changed; 127.0.0.1:1883 removed, and its connections end',
  ])
  expect(text([one, { address: '8883' }], [{ address: '8883' }, one])).toEqual([
    'mqtt.listeners: they come in another order, or number',
  ])
})
