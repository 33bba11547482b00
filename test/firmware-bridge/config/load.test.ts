import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { bridgeTemplate } from '../../../firmware-bridge/commands/configuration.ts'
import { loadBridgeConfig } from '../../../firmware-bridge/config/load.ts'

const directory = mkdtempSync(join(tmpdir(), 'headwater-bridge-config-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const file = join(directory, 'bridge.yaml')

function load(text: string, env: NodeJS.ProcessEnv = {}) {
  writeFileSync(file, text)
  return loadBridgeConfig({ file, env })
}

/** One line each, with the place shortened to `line:column`. */
function problems(text: string): string[] {
  const loaded = load(text)
  if (loaded.ok) return []
  return loaded.problems.map(({ line }) => line.replace('HW_CONFIG: ', '').replace(`${file}:`, ''))
}

function loaded(text: string, env: NodeJS.ProcessEnv = {}) {
  const result = load(text, env)
  if (!result.ok) throw result.problems[0]
  return result
}

const SERIAL = 'kind: serial, port: /dev/ttyUSB0'

describe('the template', () => {
  it('is a configuration, and the one of no file', () => {
    const { config } = loaded(bridgeTemplate())
    const none = loaded('configVersion: 1')
    expect(config).toEqual(none.config)
    expect(Object.keys(parse(bridgeTemplate()))).toEqual(Object.keys(none.config))
  })

  it('shows each kind of link, and each is a configuration without its marks', () => {
    const lines = bridgeTemplate().split('\n')
    const from = lines.indexOf('links:')
    const to = lines.findIndex((line, index) => index > from && line !== '' && !line.startsWith(' '))
    const block = lines.slice(from, to).map((line) => line.replace(/^ {2}# /, '  '))
    const text = block.join('\n')
    let port = 0
    const { config } = loaded(text.replaceAll(/port: \S+/g, () => `port: /dev/ttyUSB${port++}`))
    expect(config.links.map((link) => (link.kind === 'udp' ? 'udp' : link.protocol))).toEqual([
      'mqtt-sn',
      'line',
      'modbus',
      'udp',
    ])
  })
})

describe('what is wrong is told with line and column, and with the nearest key', () => {
  it.each([
    ['brokr: {}', '1:1: unknown key "brokr" at the top level - did you mean "broker"?'],
    [
      'broker: { url: tcp://x }',
      '1:16: broker.url is "tcp://x" - it is mqtt://host:port or mqtts://host:port, without a user',
    ],
    [
      'broker: { url: mqtt://x:99999 }',
      '1:16: broker.url "mqtt://x:99999" is no address - it is mqtt://host:port, with a port from 1 to 65535',
    ],
    [
      `links: [{ ${SERIAL}, protocol: mqttsn }]`,
      '1:55: links[0].protocol is "mqttsn" - did you mean "mqtt-sn"?',
    ],
    [`links: [{ ${SERIAL} }]`, '1:9: links[0].protocol is missing - mqtt-sn or line or modbus'],
    [
      `links: [{ ${SERIAL}, protocol: mqtt-sn, baudrate: 9600 }]`,
      '1:64: unknown key "baudrate" in links[0] - did you mean "baudRate"?',
    ],
    [
      `links: [{ ${SERIAL}, protocol: line, format: jsn, topic: a }]`,
      '1:69: links[0].format is "jsn" - did you mean "json"?',
    ],
    ['links: [{ kind: tcp }]', '1:17: links[0].kind is "tcp"'],
  ])('%s', (text, problem) => {
    expect(problems(text)[0]).toContain(problem)
  })

  it('beyond the schema: two links on a port, half a certificate, no topic, no schedule, no address', () => {
    expect(
      problems(`
links:
  - { ${SERIAL}, protocol: mqtt-sn }
  - { ${SERIAL}, protocol: line, format: json, topic: a }
  - { kind: serial, port: /dev/b, protocol: modbus, timezone: Mars, devices: [{ unit: 1, schedule: often and on, registers: [{ address: 0, kind: holding, type: uint16, topic: a }] }] }
broker: { url: mqtt://x, passwordFile: p, tls: { certFile: c } }
topics: { predefined: { 1: "a/#" }, priority: ["a#"] }
status: { address: "x y:1" }
`).map((line) => line.split(' - ')[0]),
    ).toEqual([
      '4:27: links[0] has /dev/ttyUSB0 already',
      '5:63: there is no time zone "Mars"',
      '5:100: "often and on" is no schedule',
      '6:16: broker.tls has no effect on mqtt://',
      '6:40: there is a password and no user',
      '6:48: broker.tls has a certificate without its key, or a key without its certificate',
      '7:28: predefined topic 1: "a/#" is no topic name',
      '7:48: "a#" is no topic filter: "#" takes a whole level; in "a#" it is part of one',
      '8:20: "x y:1" is no address: "x y" is not a host name or address',
    ])
  })
})

it('two that publish as one client are refused, be it by the names of their ports', () => {
  const modbus = 'protocol: modbus, devices: [{ unit: 1, registers: [{ address: 0 }] }]'
  expect(
    problems(`
links:
  - { kind: serial, port: /dev/a, protocol: line, format: json, topic: a, clientId: shed }
  - { kind: serial, port: /dev/b, ${modbus}, clientId: shed }
  - { kind: serial, port: /dev/serial/by-id/x, ${modbus} }
  - { kind: serial, port: /dev/serial/by-path/x, protocol: line, format: json, topic: a }
  - { kind: serial, port: /dev/c, protocol: line, format: json, topic: a, clientId: headwater-bridge-1 }
  - { kind: serial, port: /dev/d, protocol: mqtt-sn }
`).map((line) => line.replace(/^[0-9]+:[0-9]+: /, '')),
  ).toEqual([
    'links[0] publishes as "shed", too - name another clientId',
    'links[2] publishes as "bridge-x", too - name another clientId',
    'the bridge itself publishes as "headwater-bridge-1", too - name another clientId',
  ])
})

describe('the environment', () => {
  it('goes before the file, and its names are the path in capitals', () => {
    const env = { HEADWATER_BRIDGE_BROKER_URL: 'mqtts://far:8883', HEADWATER_BRIDGE_GATEWAY_ID: '7' }
    const { config, warnings } = loaded('broker: { url: mqtt://near }', env)
    expect(config.broker.url).toBe('mqtts://far:8883')
    expect(config.gateway.id).toBe(7)
    expect(warnings).toEqual(['there are no links: no device can reach the bridge'])
  })

  it('that is misspelt is warned of, and the broker’s is none of its', () => {
    const env = { HEADWATER_BRIDGE_BROKR_URL: 'x', HEADWATER_DATA: '/x' }
    const { warnings } = loaded('links: [{ kind: udp, address: "127.0.0.1:1884" }]', env)
    expect(warnings).toEqual([
      'environment variable HEADWATER_BRIDGE_BROKR_URL means nothing here - did you mean "HEADWATER_BRIDGE_BROKER_URL"?',
    ])
  })
})

it('paths start at the file, and a group without keys is none', () => {
  const { config } = loaded(
    'data: d\nbroker:\n  tls:\n    caFile: ca.pem\n  url: mqtts://x\ngateway:\nstatus:\n',
  )
  expect(config.data).toBe(join(directory, 'd'))
  expect(config.broker.tls.caFile).toBe(join(directory, 'ca.pem'))
  expect(config.gateway.id).toBe(1)
  expect(loaded('broker:\n  tls:\n').ok).toBe(true)
})
