/** The JSON Schema that editors get, judged by a validator of JSON Schema: it lets through what the broker takes, and marks what it refuses. */
import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { fileSchema } from '../../../broker/config/json-schema.ts'
import { configSchema } from '../../../broker/config/schema.ts'
import { brokerTemplate, schemaTemplate } from '../../../broker/config/template.ts'
import { BridgeSchema } from '../../../firmware-bridge/config/schema.ts'
import { DownlinkSchema, UpstreamSchema } from '../../../sync/config.ts'

const ajv = new Ajv({ strict: true, allowUnionTypes: true, strictRequired: false })
const schema = configSchema(UpstreamSchema, DownlinkSchema)
const broker = ajv.compile(fileSchema(schema, 'Headwater'))
const bridge = ajv.compile(fileSchema(BridgeSchema, 'Bridge'))

const faults = (validate: ValidateFunction, text: string): string[] =>
  validate(parse(text)) ? [] : (validate.errors ?? []).map(({ instancePath }) => instancePath)

test('what init writes is valid', () => {
  expect(faults(broker, brokerTemplate(schema))).toEqual([])
  expect(
    faults(
      bridge,
      schemaTemplate(BridgeSchema, () => ''),
    ),
  ).toEqual([])
})

test('an empty file, groups without keys and lists without entries are valid', () => {
  expect(faults(broker, '')).toEqual([])
  expect(faults(broker, 'mqtt:\nlimits:\nlog:\n  disk:\ndownlinks:\n')).toEqual([])
})

/** The examples of the documentation: blocks of YAML that are configurations. */
function examples(file: string): string[] {
  const text = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')
  const blocks = [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, block]) => block!)
  return blocks.filter((block) => /^(mqtt|streams|upstreams|downlinks|limits|log|edge|data):/m.test(block))
}

test.each(['README.md', 'docs/security.md', 'docs/mqtt.md'])('the examples of %s are valid', (file) => {
  const found = examples(file)
  if (file === 'README.md') expect(found.length).toBeGreaterThan(0)
  for (const text of found) expect(faults(broker, text), text).toEqual([])
})

test.each([
  ['limts: {}', ''],
  ['limits: { connectionsMax: 0 }', '/limits/connectionsMax'],
  ['limits: { connectionsMax: many }', '/limits/connectionsMax'],
  ['mqtt: { listeners: [] }', '/mqtt/listeners'],
  ['mqtt: { listeners: [{ addres: "a:1" }] }', '/mqtt/listeners/0'],
  ['edge: my edge', '/edge'],
  ['streams: [{ name: a }]', '/streams/0'],
  ['streams: [{ name: a, topics: ["#"], cleanup: compct }]', '/streams/0/cleanup'],
  ['streams:', '/streams'],
  ['upstreams: [{ name: a, kind: kafak }]', '/upstreams/0'],
  ['- a', ''],
])('%s is marked', (text, place) => {
  expect(faults(broker, text)).toContain(place)
})

test('words to choose from are a list, keys have their explanation, and secrets are marked', () => {
  const text = JSON.stringify(fileSchema(schema, 'Headwater'))
  expect(text).toContain('"enum":["keep","drop-oldest"]')
  expect(text).toContain('"writeOnly":true')
  for (const word of ['"secret":', '"shape":', '"environment":', '"path":true'])
    expect(text).not.toContain(word)
  const plain = JSON.parse(text) as { properties: { data: { description: string; default: string } } }
  expect(plain.properties.data.description).toMatch(/^The directory that holds the log/)
  expect(plain.properties.data.default).toBe('./data')
})
