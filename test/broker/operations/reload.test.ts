/** `headwater reload` and SIGHUP, on a broker as an operator runs it. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BrokerProcess } from '../../support/broker-process.ts'
import { freePort } from '../../support/kafka/ports.ts'
import { until } from '../log/support.ts'

let root: string
let broker: BrokerProcess
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-reload-'))
})
afterEach(async () => {
  await broker.end('SIGTERM')
  rmSync(root, { recursive: true, force: true })
})

function configure(mqtt: string, limits = ''): string {
  const file = join(root, 'headwater.yaml')
  const listeners = '  listeners: [{ address: "127.0.0.1:0" }]'
  writeFileSync(file, `data: ./data\nupstreams: []\nmqtt:\n${listeners}\n${mqtt}\nlimits:\n${limits}\n`)
  return file
}

test('a running broker takes up what it can, says what needs a restart, and refuses what is broken', async () => {
  const file = configure('  anonymous: false')
  broker = new BrokerProcess(['--config', file])
  await broker.start()
  expect(await broker.ask(['reload', '--json'])).toEqual({ applied: [], needsRestart: [] })

  configure('  anonymous: true', '  sessionsMax: 50\n  connectionsMax: 40')
  expect(await broker.ask(['reload', '--json'])).toEqual({
    applied: ['mqtt.anonymous: false -> true', 'limits.connectionsMax: 1000 -> 40'],
    needsRestart: [{ key: 'limits.sessionsMax', reason: 'memory is set aside by it at the start' }],
  })
  expect(await broker.ask(['status', '--json'])).toMatchObject({ broker: { mqtt: { connectionsMax: 40 } } })

  configure('  anonymous: maybe')
  process.kill(broker.pid!, 'SIGHUP')
  await until(() => broker.output.includes('HW_RELOAD_REFUSED'), 'the fault is told')
  expect(broker.output).toContain('headwater.yaml:5:14: mqtt.anonymous is "maybe"')

  configure('  anonymous: false')
  process.kill(broker.pid!, 'SIGHUP')
  await until(() => broker.output.includes('mqtt.anonymous: true -> false'), 'it is read again')
})

test('upstreams and streams come while it runs, and a password is in no line', async () => {
  const file = configure('  anonymous: true')
  broker = new BrokerProcess(['--config', file])
  await broker.start()
  const streams = 'streams:\n  - { name: alarms, topics: ["+/alarm"] }\n  - { name: events, topics: ["#"] }\n'
  const central = [
    'upstreams:',
    '  - name: central',
    '    kind: kafka',
    '    bootstrap: ["127.0.0.1:9"]',
    '    sasl: { mechanism: PLAIN, username: edge, password: hidden-PASSWORD-1 }',
    '    tls: {}',
    '',
  ].join('\n')
  const text = readFileSync(file, 'utf8').replace('upstreams: []\n', streams + central)
  writeFileSync(file, text)
  expect(await broker.ask(['reload', '--json'])).toEqual({
    applied: ['streams.alarms: added, for +/alarm', 'upstreams.central: added'],
    needsRestart: [],
  })
  expect(await broker.ask(['status', '--json'])).toMatchObject({
    broker: { mqtt: { connections: 0 } },
    upstreams: [{ name: 'central', kind: 'kafka' }],
  })
  writeFileSync(file, text.replace('PASSWORD-1', 'PASSWORD-2'))
  expect(await broker.ask(['reload', '--json'])).toEqual({
    applied: ['upstreams.central.sasl.password: (not shown) -> (not shown)'],
    needsRestart: [],
  })
  expect(broker.output).toContain('the configuration has changed: upstreams.central.sasl.password')
  expect(broker.output).not.toContain('hidden-PASSWORD')
})

test('a flood of signals is two reloads, not as many as there were signals, and one line for what is wrong', async () => {
  const file = configure('  anonymous: true')
  broker = new BrokerProcess(['--config', file])
  await broker.start()
  const times = (text: string) => broker.output.split(text).length - 1
  for (let i = 0; i < 200; i++) process.kill(broker.pid!, 'SIGHUP')
  await until(() => times('the configuration was read again') >= 1, 'it is read again')
  // behind all that the flood asked for
  await broker.ask(['reload', '--json'])
  expect(times('the configuration was read again')).toBeLessThanOrEqual(4)

  configure('  anonymous: maybe')
  for (let i = 0; i < 200; i++) process.kill(broker.pid!, 'SIGHUP')
  await until(() => times('HW_RELOAD_REFUSED') >= 1, 'the fault is told')
  configure('  anonymous: false')
  await broker.ask(['reload', '--json'])
  expect(times('HW_RELOAD_REFUSED')).toBeLessThanOrEqual(3)
})

test('a listener comes and goes by SIGHUP; one that cannot be had leaves all as it was, in one line', async () => {
  const [first, second, taken] = [await freePort(), await freePort(), await freePort()]
  const file = configure('  anonymous: true')
  const text = readFileSync(file, 'utf8')
  const listen = (...ports: number[]) => {
    const addresses = ports.map((port) => `"127.0.0.1:${port}"`).join(', ')
    writeFileSync(file, text.replace('[{ address: "127.0.0.1:0" }]', `[${addresses}]`))
  }
  listen(first)
  broker = new BrokerProcess(['--config', file])
  await broker.start()
  const client = await connectAsync(`mqtt://127.0.0.1:${first}`, { protocolVersion: 5, reconnectPeriod: 0 })
  const told: unknown[] = []
  client.on('disconnect', ({ reasonCode }) => told.push(reasonCode))
  const other = createServer().listen(taken, '127.0.0.1')
  await once(other, 'listening')
  const hangUp = async (line: string) => {
    process.kill(broker.pid!, 'SIGHUP')
    await until(() => broker.output.includes(line), `it says: ${line}`)
  }
  try {
    listen(second, taken)
    await hangUp(`the configuration stays as it is: cannot listen on 127.0.0.1:${taken}: the port is in use`)
    await client.publishAsync('a', '1', { qos: 1 })
    listen(first, second)
    await hangUp(`mqtt.listeners: 127.0.0.1:${second} added`)
    await client.publishAsync('a', '2', { qos: 1 })
    listen(second)
    await hangUp(`mqtt.listeners: 127.0.0.1:${first} removed, and its connections end`)
    await until(() => told.length > 0, 'its client is told')
    expect(told).toEqual([0x8b])
    const next = await connectAsync(`mqtt://127.0.0.1:${second}`, { protocolVersion: 5, reconnectPeriod: 0 })
    await next.publishAsync('a', '3', { qos: 1 })
    await next.endAsync()
    expect(await broker.ask(['status', '--json'])).toMatchObject({
      broker: { mqtt: { listeners: [`127.0.0.1:${second}`] }, ingress: { received: 3 } },
    })
  } finally {
    client.end(true)
    other.close()
  }
})
