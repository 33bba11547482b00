/** The JSON Schema that editors get, judged by a validator of JSON Schema: it lets through what the broker takes, and marks what it refuses. */
import { Ajv, type ValidateFunction } from 'ajv'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { fileSchema } from '../../../broker/config/json-schema.ts'
import { configSchema } from '../../../broker/config/schema.ts'
import { brokerTemplate, schemaTemplate } from '../../../broker/config/template.ts'
import { BridgeSchema } from '../../../firmware-bridge/config/schema.ts'
import { DownlinkSchema, UpstreamSchema } from '../../../sync/config.ts'
import { documents, textOf } from '../../docs/documents.ts'

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

/** Of blocks that are no configuration of ours: Prometheus' own, and a part of an upstream. */
const OTHERS = ['scrape_configs', 'sasl']

/** The configurations in a document's blocks of YAML. */
function examples(file: string): string[] {
  const blocks = [...textOf(file).matchAll(/^```yaml\n(.*?)^```/gms)].map(([, block]) => block!)
  return blocks.filter((block) => !OTHERS.some((key) => block.startsWith(`${key}:`)))
}

const isBridge = (text: string) =>
  Object.keys(parse(text)).every((key) => key in BridgeSchema.properties && !(key in schema.properties))

test.each(documents())('the configurations in %s are valid', (file) => {
  for (const text of examples(file)) expect(faults(isBridge(text) ? bridge : broker, text), text).toEqual([])
})

test('the documents have some, of both programs', () => {
  const all = documents().flatMap(examples)
  expect(all.filter((text) => !isBridge(text)).length).toBeGreaterThan(10)
  expect(all.filter(isBridge).length).toBeGreaterThan(5)
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
