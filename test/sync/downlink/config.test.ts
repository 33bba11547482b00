/** Downlinks in a configuration file, checked as `headwater check` does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import { afterAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../../broker/config/load.ts'
import { configTemplate } from '../../../broker/config/template.ts'
import { silentSink } from '../../../broker/index.ts'
import { DownlinkSchema, UpstreamSchema } from '../../../sync/config.ts'
import { createDownlink } from '../../../sync/downlink/create.ts'
import { downlinkFaults, upstreamFaults } from '../../../sync/index.ts'
import { downlinkConfig } from './kafka-topic.ts'
import { FakePublisher, MemoryFacts } from './setup.ts'

const directory = mkdtempSync(join(tmpdir(), 'headwater-downlink-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function load(text: string) {
  const file = join(directory, 'headwater.yaml')
  writeFileSync(file, text)
  return loadConfig({
    file,
    env: {},
    upstreams: { schema: UpstreamSchema, faults: (entry) => upstreamFaults(entry as never) },
    downlinks: {
      schema: DownlinkSchema,
      faults: (entry, { upstreams }) => downlinkFaults(entry as never, upstreams),
    },
  })
}

const UPSTREAMS = `
upstreams:
  - { name: central, kind: kafka, bootstrap: ["127.0.0.1:9092"] }
  - { name: usb, kind: archive, directory: /mnt/usb }
`

/** What is wrong with a downlink, without the place in the file. */
function problems(entry: string): string[] {
  const loaded = load(`${UPSTREAMS}downlinks:\n  - ${entry}\n`)
  if (loaded.ok) return []
  return loaded.problems.map(({ message, place }) => message.slice(place.length + 2))
}

describe('the configuration of a downlink', () => {
  it('needs a name, a cluster and a topic: the rest has defaults', () => {
    const loaded = load(`${UPSTREAMS}downlinks: [{ name: commands, upstream: central, topic: commands }]`)
    expect(loaded.ok && loaded.config.downlinks).toEqual([
      {
        name: 'commands',
        upstream: 'central',
        topic: 'commands',
        filter: { keyPrefixes: [], headers: {} },
        mqttTopic: 'commands/{key}',
        retain: false,
        payloadBytesMax: 262_144,
        start: 'latest',
        outOfRange: 'earliest',
        ownRecords: 'drop',
        hopsMax: 1,
        graceSeconds: 10,
        backoff: { firstMs: 1000, msMax: 20_000 },
      },
    ])
    const none = load('edge: e')
    expect(none.ok && none.config.downlinks).toEqual([])
  })

  it('finds paths of its own connection', () => {
    const loaded = load(
      'downlinks: [{ name: c, topic: t, connection: { bootstrap: ["h:1"], tls: { caFile: ca.pem } } }]',
    )
    expect(loaded.ok && loaded.config.downlinks[0]).toMatchObject({
      connection: { tls: { caFile: join(directory, 'ca.pem') } },
    })
  })

  it.each([
    ['{ name: c, topic: t }', 'downlink "c": it has no cluster'],
    [
      '{ name: c, topic: t, upstream: central, connection: { bootstrap: ["h:1"] } }',
      'downlink "c": it has two clusters',
    ],
    ['{ name: c, topic: t, upstream: centrl }', 'downlink "c": there is no upstream "centrl" of kind kafka'],
    ['{ name: c, topic: t, upstream: usb }', 'downlink "c": there is no upstream "usb" of kind kafka'],
    ['{ name: central, topic: t, upstream: central }', 'downlink "central" has the name of upstreams[0]'],
    [
      '{ name: c, topic: t, upstream: central, mqttTopic: "a/{kye}" }',
      'downlink "c": "a/{kye}": {kye} stands for nothing',
    ],
    ['{ name: c, topic: "a/b", upstream: central }', 'downlink "c": "a/b" is no name of a Kafka topic'],
    [
      '{ name: c, topic: t, connection: { bootstrap: ["h:1"], sasl: { username: u } } }',
      'downlink "c": there is no password',
    ],
    [
      '{ name: c, topic: t, upstream: central, backoff: { firstMs: 5000, msMax: 1000 } }',
      'downlink "c": firstMs is more than msMax',
    ],
  ])('refuses %s', (entry, problem) => {
    expect(problems(entry)).toEqual([problem])
  })

  it('is refused by the program as well, for those who do not check', async () => {
    const wiring = {
      edge: 'e',
      upstreams: [],
      facts: new MemoryFacts(),
      publisher: new FakePublisher(),
      sink: silentSink,
      trustedNow: () => null,
    }
    const config = downlinkConfig('h:1', 't', { mqttTopic: '{rest}' })
    await expect(createDownlink(config, wiring)).rejects.toMatchObject({ code: 'HW_DOWNLINK_CONFIG' })
  })

  it('describes every field, and is shown in the file that `init` writes', () => {
    const visit = (schema: TSchema, path: string): void => {
      for (const [key, property] of Object.entries((schema.properties ?? {}) as Record<string, TSchema>)) {
        expect(property.description, `${path}.${key}`).toMatch(/\w{3,}/)
        visit(property, `${path}.${key}`)
      }
    }
    visit(DownlinkSchema, 'downlink')
    const template = configTemplate(UpstreamSchema, DownlinkSchema)
    expect(parse(template).downlinks).toBeNull()
    const loaded = load(template)
    expect(loaded.ok && loaded.config.downlinks).toEqual([])
    for (const key of Object.keys(DownlinkSchema.properties)) expect(template).toContain(` ${key}:`)
  })
})
