import { expect, test } from 'vitest'
import { configSchema } from '../../../broker/config/schema.ts'
import { shownConfig, shownValues, valuesBelow } from '../../../broker/config/show.ts'
import { UpstreamSchema } from '../../../sync/config.ts'
import { directoryName, loaded } from './support.ts'

const schema = configSchema(UpstreamSchema)
const TEXT = `limits:
  connectionsMax: 50
streams:
  - name: a.b
    topics: [x, "y/#"]
upstreams:
  - name: central
    kind: kafka
    bootstrap: ["k:9092"]
    tls: {}
    sasl: { mechanism: PLAIN, username: u, password: "12-secret" }
`
const show = (env: NodeJS.ProcessEnv = {}, data?: string) =>
  loaded(TEXT, { env, data, upstreams: { schema: UpstreamSchema } })

const given = (values: ReturnType<typeof shownValues>) =>
  values
    .filter(({ source }) => source !== null)
    .map(
      ({ key, value, source }) =>
        `${key} = ${JSON.stringify(value)} ${source!.replace(`${directoryName}/`, '')}`,
    )

test('each value that is given has its place', () => {
  const env = { HEADWATER_EDGE: 'e', HEADWATER_LIMITS_CONNECTIONS_MAX: '70' }
  expect(given(shownValues(schema, show(env, '/d')))).toEqual([
    'edge = "e" environment variable HEADWATER_EDGE',
    'data = "/d" --data',
    'limits.connectionsMax = 70 environment variable HEADWATER_LIMITS_CONNECTIONS_MAX',
    'streams[0].name = "a.b" edge.yaml:4:11',
    'streams[0].topics = ["x","y/#"] edge.yaml:5:13',
    'upstreams[0].name = "central" edge.yaml:7:11',
    'upstreams[0].kind = "kafka" edge.yaml:8:11',
    'upstreams[0].bootstrap = ["k:9092"] edge.yaml:9:16',
    'upstreams[0].sasl.mechanism = "PLAIN" edge.yaml:11:24',
    'upstreams[0].sasl.username = "u" edge.yaml:11:41',
    'upstreams[0].sasl.password = "(not shown)" edge.yaml:11:54',
  ])
})

test('what nobody gave is there, too, as a default; a list with one given value keeps the others as defaults', () => {
  const values = shownValues(schema, show())
  const by = (name: string) => values.find(({ key }) => key === name)
  expect(by('limits.recordBytesMax')).toEqual({
    key: 'limits.recordBytesMax',
    value: 1_048_576,
    source: null,
  })
  expect(by('streams[0].partitions')).toMatchObject({ value: 4, source: null })
  expect(by('limits.connectionsMax')?.source).toMatch(/:2:19$/)
})

test('no secret is in what is shown', () => {
  const all = show()
  expect(JSON.stringify([shownValues(schema, all), shownConfig(schema, all.config)])).not.toContain(
    '12-secret',
  )
  expect(all.warnings).toEqual([
    expect.stringMatching(
      /edge\.yaml:11:44: password stands in the configuration itself, .* - better passwordFile or passwordEnv$/,
    ),
  ])
})

test('a key is looked for by its name, its group or its list; another one is suggested', () => {
  const values = shownValues(schema, show())
  const keys = (key: string) => {
    const found = valuesBelow(values, key)
    return typeof found === 'string' ? found : found.map((value) => value.key)
  }
  expect(keys('log.disk')).toEqual(['log.disk.reserveBytes'])
  expect(keys('streams[0].name')).toEqual(['streams[0].name'])
  expect(keys('streams')).toContain('streams[0].retention.unsynced')
  expect(keys('limits.conectionsMax')).toBe('did you mean "limits.connectionsMax"?')
  expect(keys('log.dis')).toBe('did you mean "log.disk"?')
  expect(keys('nothing-like-it')).toMatch(/^known here: edge, data, mqtt, /)
})
