import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { defaultConfig, loadConfig } from '../../../broker/config/load.ts'
import { streamConfig } from '../../support/stream-config.ts'
import { directoryName, fileName, loaded, problems, upstreamSchema } from './support.ts'

const LOG = {
  segmentBytes: 33_554_432,
  disk: { reserveBytes: 134_217_728 },
  compaction: { schedule: '*/10 * * * *', dirtyShare: 0.5 },
}

const LIMITS = {
  recordBytesMax: 1_048_576,
  admittedBytesMax: 2_097_152,
  connectionsMax: 1000,
  connectsPerSecondPerAddress: 100,
  connectSecondsMax: 10,
  keepAliveSecondsMax: 0,
  topicBytesMax: 1024,
  topicLevelsMax: 100,
  clientIdBytesMax: 256,
  receiveMaximum: 1_000,
  inFlightMax: 100,
  outboxBytesMax: 1_048_576,
  outboxesBytesMax: 67_108_864,
  unfinishedBytesMax: 33_554_432,
  queuedMessagesMax: 20_000,
  subscriberRateMin: 1_000,
  subscriberStallSecondsMax: 5,
  subscriptionsPerClientMax: 1000,
  filtersPerPacketMax: 1000,
  userPropertiesMax: 100,
  replaysPerClientMax: 8,
  replaysMax: 100,
  sessionsMax: 10_000,
  sessionExpirySecondsMax: 4_294_967_295,
  willsBytesMax: 16_777_216,
  retainedMessagesMax: 10_000,
  retainedBytesMax: 67_108_864,
}

test('without a file the defaults hold, and relative paths start at the working directory', () => {
  const result = loadConfig({ file: '', env: {}, upstreams: { schema: upstreamSchema } })
  if (!result.ok) throw result.problems[0]
  expect(result.file).toBeNull()
  expect(result.config).toEqual({
    edge: 'auto',
    data: resolve('data'),
    mqtt: {
      listeners: [{ address: '127.0.0.1:1883' }],
      anonymous: false,
      permissions: [],
      holdPublishersBack: true,
      sysIntervalSeconds: 10,
    },
    http: { address: '127.0.0.1:9180', allowedHosts: [] },
    limits: LIMITS,
    log: LOG,
    clock: { trust: 'auto' },
    streams: [streamConfig({ name: 'events' })],
    upstreams: [{ name: 'archive', kind: 'archive', directory: resolve('data/upstream') }],
    downlinks: [],
  })
})

test('an empty file and one of comments alone are the defaults', () => {
  for (const text of ['', '# nothing\n', 'limits:\n', '---\n']) {
    expect(loaded(text).config.limits.connectionsMax).toBe(1000)
  }
})

test('relative paths start at the file that names them', () => {
  const { config } = loaded('data: here\nupstreams:\n  - { name: a, kind: archive, directory: ../out }\n')
  expect(config.data).toBe(join(directoryName, 'here'))
  expect(config.upstreams[0]!.directory).toBe(resolve(directoryName, '../out'))
  const nested = loaded(
    'upstreams:\n  - { name: a, kind: kafka, brokers: ["b:1"], tls: { caFile: ca.pem } }\n',
  ).config
  expect(nested.upstreams[0]!.tls).toEqual({ caFile: join(directoryName, 'ca.pem') })
})

test('the default archive follows the data directory, however that is given', () => {
  expect(loaded('data: here\n').config.upstreams[0]!.directory).toBe(join(directoryName, 'here/upstream'))
  expect(loaded('', { data: '/x' }).config.upstreams[0]!.directory).toBe('/x/upstream')
  expect(loaded('', { env: { HEADWATER_DATA: '/y' } }).config.upstreams[0]!.directory).toBe('/y/upstream')
  expect(loaded('upstreams: []').config.upstreams).toEqual([])
})

test('environment goes before the file, --data before both', () => {
  const env = {
    HEADWATER_DATA: '/from/env',
    HEADWATER_EDGE: 'edge-7',
    HEADWATER_LIMITS_CONNECTIONS_MAX: '12',
    HEADWATER_MQTT_LISTENERS: '127.0.0.1:1, [::1]:2',
    HEADWATER_LOG_SEGMENT_BYTES: '',
  }
  const { config } = loaded('data: /from/file\nedge: other\n', { env })
  expect(config).toMatchObject({
    data: '/from/env',
    edge: 'edge-7',
    limits: { connectionsMax: 12 },
    mqtt: { listeners: [{ address: '127.0.0.1:1' }, { address: '[::1]:2' }] },
    log: LOG,
  })
  expect(loaded('data: /from/file\n', { env, data: '/from/flag' }).config.data).toBe('/from/flag')
})

test('a wrong value from the environment names its variable', () => {
  const env = { HEADWATER_LIMITS_CONNECTIONS_MAX: 'many', HEADWATER_MQTT_LISTENERS: 'nowhere' }
  expect(problems('', { env: { HEADWATER_LIMITS_CONNECTIONS_MAX: 'many' } })).toEqual([
    'environment variable HEADWATER_LIMITS_CONNECTIONS_MAX: limits.connectionsMax is "many" - it is a whole number from 1 to 100000',
  ])
  expect(problems('', { env: { HEADWATER_MQTT_LISTENERS: env.HEADWATER_MQTT_LISTENERS } })[0]).toMatch(
    /^environment variable HEADWATER_MQTT_LISTENERS: "nowhere" is no address/,
  )
})

test('a variable that looks like ours and is not is a warning, with the nearest', () => {
  const { warnings } = loaded('', {
    env: { HEADWATER_EGDE: 'x', HEADWATER_LOG: 'debug', HEADWATER_TEST_KAFKA: 'x', PATH: 'x' },
  })
  expect(warnings).toEqual([
    'environment variable HEADWATER_EGDE means nothing here - did you mean "HEADWATER_EDGE"?',
  ])
})

test('"*" in a filter is a warning with its place', () => {
  const { warnings } = loaded('streams:\n  - name: a\n    topics: ["a/*"]\n')
  expect(warnings).toEqual([
    `${join(directoryName, fileName)}:3:14: in "a/*" the "*" is no wildcard - MQTT has "+" for one level and "#" for all that follow`,
  ])
})

test('a file that cannot be read says why', () => {
  const line = (file: string) => {
    const result = loadConfig({ file, env: {} })
    return result.ok ? 'no problem' : result.problems[0]!.line
  }
  expect(line('/nowhere/x.yaml')).toBe(
    'HW_CONFIG: /nowhere/x.yaml: there is no such file - write one with `headwater init /nowhere/x.yaml`',
  )
  mkdirSync(join(directoryName, 'd'), { recursive: true })
  expect(line(join(directoryName, 'd'))).toContain('this is a directory')
  writeFileSync(join(directoryName, 'big'), Buffer.alloc(1_048_577, 0x20))
  expect(line(join(directoryName, 'big'))).toContain('the file has 1048577 bytes')
})

test('HEADWATER_CONFIG names the file; an argument goes before it', () => {
  writeFileSync(join(directoryName, 'one.yaml'), 'edge: one')
  writeFileSync(join(directoryName, 'two.yaml'), 'edge: two')
  const env = { HEADWATER_CONFIG: join(directoryName, 'one.yaml') }
  const one = loadConfig({ env })
  const two = loadConfig({ env, file: join(directoryName, 'two.yaml') })
  expect(one.ok && one.config.edge).toBe('one')
  expect(two.ok && two.config.edge).toBe('two')
})

test('all problems of a file are listed, in the order of the file', () => {
  expect(
    problems('edge: 1\nzzzz: 2\nlimits: { connectionsMax: 0 }\nlog: 3\n').map((line) => line.slice(0, 3)),
  ).toEqual(['1:7', '2:1', '3:2', '4:6'])
})

test('values given through an anchor are found at the anchor', () => {
  expect(problems('streams:\n  - &s { name: a, topics: [b#] }\n  - *s\n').join('\n')).toMatch(/^2:28: "b#"/m)
})

test('a key called __proto__ is an unknown key like any other', () => {
  expect(problems('__proto__: { edge: x }\n')).toHaveLength(1)
})

test('defaultConfig gives a configuration for a directory', () => {
  expect(defaultConfig('/tmp/x').data).toBe('/tmp/x')
})
