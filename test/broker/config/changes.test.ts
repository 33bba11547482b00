import { expect, test } from 'vitest'
import { changeText, configChanges, isLive, withLiveChanges } from '../../../broker/config/changes.ts'
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
  configChanges(before(), after(change)).map((one) => `${isLive(one) ? 'live ' : ''}${one.key}`)

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
    config.data = '/other'
  })
  expect(found.sort()).toEqual([
    'data',
    'limits.sessionsMax',
    'live limits.connectsPerSecond',
    'live mqtt.anonymous',
    'live streams.a.b.writer',
    'mqtt.listeners',
    'streams.events.priority',
  ])
})

test('another order of streams is a change that needs a restart', () => {
  expect(keys((config) => config.streams.reverse())).toEqual(['streams.order'])
})

test('what runs afterwards has the live changes, and nothing else', () => {
  const next = after((config) => {
    config.mqtt.permissions = [{ users: ['*'], publish: ['#'], subscribe: [] }]
    config.limits.messagesPerSecondPerClient = 100
    config.limits.sessionsMax = 5
    config.streams[0]!.writer = 'plc'
    config.streams[1]!.topics = ['x']
  })
  const running = withLiveChanges(before(), next)
  expect(configChanges(running, next).map(({ key }) => key)).toEqual([
    'limits.sessionsMax',
    'streams.events.topics',
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
