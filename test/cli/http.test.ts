/** The HTTP listener of a broker as a person starts it: what it answers is what its own description says. */
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ANSWERS, COMPONENTS } from '../../broker/operations/http/openapi/schemas.ts'
import { API_ROUTES, type ApiRouteId } from '../../broker/operations/http/route-table.ts'
import { METRICS } from '../../broker/operations/metrics/catalogue.ts'
import { checkMetrics, hasPromtool } from '../support/promtool.ts'
import { headwater, publish, type Running, scratch, startBroker } from './headwater.ts'

const CONFIG = `
streams:
  - { name: state, topics: [state/#], cleanup: compact, table: true, partitions: 1 }
  - { name: events, topics: ["#"], partitions: 2 }
log: { disk: { enduranceBytes: 32000000000000 } }
`

const urlOf = (broker: Running) => /^dashboard (http:\S+)$/m.exec(broker.stdout)![1]!

describe('a broker without a token', () => {
  let broker: Running
  let url: string
  let client: MqttClient
  beforeAll(async () => {
    const home = scratch()
    writeFileSync(join(home, 'headwater.yaml'), CONFIG)
    const started = await startBroker([], home, { HEADWATER_HTTP_ADDRESS: '127.0.0.1:0' })
    broker = started.broker
    url = urlOf(broker)
    await publish(started.port, [
      ['state/1', '{"on":true}'],
      ['state/2', '{"on":false}'],
      ['a', Buffer.from([0xff])],
      ['b', 'grün'],
    ])
    client = await connectAsync(`mqtt://127.0.0.1:${started.port}`, {
      protocolVersion: 5,
      clientId: 'reader',
      reconnectPeriod: 0,
    })
  }, 60_000)
  afterAll(async () => {
    client.end(true)
    await broker.end('SIGTERM')
  })

  const json = async (path: string, init: RequestInit = {}) => (await fetch(url + path, init)).json()
  const post = (path: string, body = {}) =>
    fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  test('describes itself in OpenAPI, every route of it', async () => {
    const document = (await json('/openapi.json')) as { paths: Record<string, Record<string, object>> }
    const { valid, errors } = await new Validator().validate(document)
    expect(errors).toBeUndefined()
    expect(valid).toBe(true)
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(described.sort()).toEqual(API_ROUTES.map(({ method, path }) => `${method} ${path}`).sort())
  })

  test.each([
    ['live', '/health/live'],
    ['ready', '/health/ready'],
    ['openapi', '/openapi.json'],
    ['status', '/api/v1/status'],
    ['streams', '/api/v1/streams'],
    ['clients', '/api/v1/clients'],
    ['upstreams', '/api/v1/upstreams'],
    ['alarms', '/api/v1/alarms'],
    ['history', '/api/v1/history'],
  ] as [ApiRouteId, string][])('what %s answers is as it is described, no field more', async (id, path) => {
    expect(faults(ANSWERS[id]!, await json(path))).toEqual([])
  })

  test('so are lines of records and tables, and what compacting tells', async () => {
    const all: [ApiRouteId, Response, number][] = [
      ['records', await fetch(`${url}/api/v1/streams/events/records`), 2],
      ['records', await fetch(`${url}/api/v1/streams/events/records?grep=GR%C3%9CN`), 1],
      ['table', await fetch(`${url}/api/v1/streams/state/table`), 2],
      ['table', await fetch(`${url}/api/v1/streams/state/table?after=state/1`), 1],
      ['compact', await post('/api/v1/streams/state/compact'), 1],
    ]
    for (const [id, response, count] of all) {
      const lines = (await response.text()).trimEnd().split('\n')
      expect([id, lines.length >= count]).toEqual([id, true])
      if (id !== 'compact') expect([id, lines.length]).toEqual([id, count])
      for (const line of lines) expect([id, faults(ANSWERS[id]!, JSON.parse(line))]).toEqual([id, []])
    }
  })

  test('and faults, and actions', async () => {
    const unknown = (await json('/api/v1/streams/none/records')) as { error: object }
    expect(faults(COMPONENTS.Error!, unknown.error)).toEqual([])
    for (const action of ['pause', 'resume', 'now'] as const) {
      const id = ({ pause: 'pauseUpstream', resume: 'resumeUpstream', now: 'sendNow' } as const)[action]
      const response = await post(`/api/v1/upstreams/archive/${action}`)
      expect([action, response.status]).toEqual([action, 200])
      expect(faults(ANSWERS[id]!, await response.json())).toEqual([])
    }
    expect((await post('/api/v1/upstreams/none/pause')).status).toBe(404)
  })

  test('metrics are those of the catalogue, and promtool has no complaint', async () => {
    const response = await fetch(`${url}/metrics`)
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const text = await response.text()
    const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!)
    expect(names.filter((name) => !(name in METRICS))).toEqual([])
    expect(names.length).toBeGreaterThan(60)
    expect(text).toMatch(/^headwater_messages_received_total 4$/m)
    expect(text).toMatch(/^headwater_card_endurance_bytes 32000000000000$/m)
    if (hasPromtool) expect(checkMetrics(text)).toBe('')
  })

  test('a client is told that it was disconnected by an operator, and the log says so', async () => {
    const told = new Promise<number | undefined>((resolve) => {
      client.once('disconnect', ({ reasonCode }) => resolve(reasonCode))
    })
    expect(await (await post('/api/v1/clients/disconnect', { clientId: 'reader' })).json()).toEqual({
      disconnected: true,
    })
    expect(await told).toBe(0x98)
    expect(broker.stderr).toContain('an operator disconnected a client')
    expect((await post('/api/v1/clients/disconnect', { clientId: 'reader' })).status).toBe(404)
  })

  test('the broker ends while a stream is followed', async () => {
    const following = await fetch(`${url}/api/v1/streams/events/records?follow=true`)
    expect(following.status).toBe(200)
    expect(await broker.end('SIGTERM')).toBe(0)
    // as far as it had come
    await following.text().catch(() => '')
  })
})

/** Of a value, with every object of the schema closed: what is not described is a fault, too. */
function faults(schema: TSchema, value: unknown): string[] {
  const references = Object.values(COMPONENTS).map((component) => closed(component) as TSchema)
  return [...Value.Errors(closed(schema) as TSchema, references, value)].map(
    ({ path, message, value: found }) => `${path}: ${message}, ${JSON.stringify(found)?.slice(0, 100)}`,
  )
}

function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  for (const symbol of Object.getOwnPropertySymbols(schema))
    Reflect.set(copy, symbol, Reflect.get(schema, symbol))
  const isOpen = 'additionalProperties' in copy || 'patternProperties' in copy
  return copy.type === 'object' && !isOpen ? { ...copy, additionalProperties: false } : copy
}

describe('a port that is taken', () => {
  const taken = createServer()
  let address: string
  beforeAll(async () => {
    taken.listen(0, '127.0.0.1')
    await once(taken, 'listening')
    address = `127.0.0.1:${(taken.address() as { port: number }).port}`
  })
  afterAll(() => void taken.close())

  test('is a fault where somebody chose it', async () => {
    const home = scratch()
    const environment = { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0', HEADWATER_HTTP_ADDRESS: address }
    const line = `cannot listen on ${address}: the port is in use - stop what uses it (\`ss -ltnp\`), or set another http.address`
    const started = await headwater(['start'], home, environment)
    expect([started.code, started.stderr]).toEqual([
      6,
      expect.stringContaining(`headwater: HW_LISTEN: ${line}\n`),
    ])
    const checked = await headwater(['check'], home, environment)
    expect([checked.code, checked.stderr]).toEqual([
      6,
      expect.stringContaining(`environment variable HEADWATER_HTTP_ADDRESS: ${line}\n`),
    ])
  })

  test('where nobody chose it the broker runs without', async () => {
    const others = createServer()
    others.listen(9180, '127.0.0.1')
    // where it is taken already it is taken
    await new Promise((resolve) => others.once('listening', resolve).once('error', resolve))
    const { broker } = await startBroker([], scratch(), { HEADWATER_HTTP_ADDRESS: '' })
    expect(broker.stdout).not.toContain('dashboard http')
    expect(broker.stderr).toContain('no dashboard and no metrics: HW_LISTEN: cannot listen on 127.0.0.1:9180')
    expect(await broker.end('SIGTERM')).toBe(0)
    if (others.listening) others.close()
  })
})

test('with a token and users: who shows it has everything, who does not the health alone', async () => {
  const home = scratch()
  mkdirSync(join(home, 'data'))
  writeFileSync(join(home, 'token'), 'a-token-of-24-characters\n')
  writeFileSync(
    join(home, 'headwater.yaml'),
    'mqtt: { permissions: [{ publish: ["a/#"] }] }\nhttp: { address: "127.0.0.1:0", tokenFile: token }\n',
  )
  const started = await startBroker([], home, { HEADWATER_HTTP_ADDRESS: '' })
  const url = urlOf(started.broker)
  const status = async (path: string, token?: string) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return (await fetch(url + path, { headers })).status
  }
  const records = '/api/v1/streams/events/records'
  expect([await status('/health/ready'), await status('/api/v1/status'), await status(records)]).toEqual([
    200, 401, 401,
  ])
  expect(await status(records, 'a-token-of-24-characters')).toBe(200)
  expect(started.broker.stdout + started.broker.stderr).not.toContain('a-token-of')
  expect(started.broker.stderr).toContain(
    `can be read or changed by others: chmod 600 ${join(home, 'token')}`,
  )
  expect(await started.broker.end('SIGTERM')).toBe(0)
  writeFileSync(join(home, 'token'), 'short')
  const refused = await headwater(['start'], home, {
    HEADWATER_HTTP_ADDRESS: '',
    HEADWATER_MQTT_LISTENERS: '127.0.0.1:0',
  })
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringContaining(
      `HW_HTTP_TOKEN: http.tokenFile ${join(home, 'token')}: its token has 5 characters`,
    ),
  ])
})
