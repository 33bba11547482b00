/** What is answered over HTTP, and what becomes of clients that mean it ill. */
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { CorruptLogError } from '../../../../broker/errors.ts'
import { until } from '../../log/support.ts'
import { FakeLog, fakeClient, fakeOperations, fakeStatus } from '../fake-log.ts'
import { post, startHttpTest } from './support.ts'

const HOST = 'host: 127.0.0.1\r\n'
const lines = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

describe('the API', () => {
  it('answers what the control socket does', async () => {
    const { json, log } = await startHttpTest()
    log.append('events', 0, [{ value: 'a' }])
    expect(await json('/api/v1/status')).toMatchObject({ running: true, broker: { pid: fakeStatus.pid } })
    expect(await json('/api/v1/streams')).toMatchObject({ streams: [{ stream: 'events', records: 1 }] })
    expect(await json('/api/v1/clients')).toEqual({ clients: [fakeClient] })
    expect(await json('/api/v1/upstreams')).toEqual({ upstreams: [], downlinks: [] })
    expect(await json('/api/v1/alarms')).toEqual({ alarms: [] })
    expect(await json('/api/v1/history')).toEqual({ intervalSeconds: 5, samples: [] })
    expect(await json('/openapi.json')).toEqual({ openapi: '3.1.0' })
  })

  it('disconnects a client, and says where there is none', async () => {
    const { json, ask } = await startHttpTest()
    const path = '/api/v1/clients/disconnect'
    expect(await json(path, post({ clientId: 'sensor-1' }))).toEqual({ disconnected: true })
    expect(await json('/api/v1/clients')).toEqual({ clients: [] })
    expect(await ask(path, post({ clientId: 'sensor-1' }))).toMatchObject({
      status: 404,
      text: expect.stringContaining('HW_UNKNOWN_CLIENT'),
    })
    for (const body of ['', '{', '[]', 'null', '{"clientId":7}', '{"clientId":""}', '"sensor-1"']) {
      expect((await ask(path, post(body))).status, body).toBe(400)
    }
  })

  it('takes an acknowledgement of as many lost records as were shown', async () => {
    const { json, ask } = await startHttpTest()
    const path = '/api/v1/log/acknowledge'
    expect(await json('/api/v1/log/damage')).toMatchObject({ lostOffsets: 4 })
    for (const body of ['{}', '{"lostOffsets":3}', '{"lostOffsets":"4"}', '{"lostOffsets":-4}']) {
      expect((await ask(path, post(body))).status, body).toBe(400)
    }
    expect(await json(path, post({ lostOffsets: 4 }))).toEqual({ acknowledged: true })
    expect(await json('/api/v1/log/damage')).toMatchObject({ lostOffsets: 0, lost: [] })
  })

  it('is live; ready while messages are taken, with the reasons for those who may know', async () => {
    const log = new FakeLog({ events: 1 })
    const full = { ...fakeStatus.log, space: { ...fakeStatus.log.space, isFull: true } }
    const operations = { ...fakeOperations(log), status: () => ({ ...fakeStatus, log: full }) }
    const ready = await startHttpTest()
    expect(await ready.json('/health/live')).toEqual({ status: 'live' })
    expect(await ready.json('/health/ready')).toEqual({ status: 'ready', reasons: [] })
    const not = await startHttpTest({ operations })
    expect(await not.ask('/health/ready')).toMatchObject({
      status: 503,
      text: '{"status":"not ready","reasons":["the disk is full: nothing new is taken"]}\n',
    })
    const stranger = await startHttpTest({ operations, token: 'x'.repeat(16) })
    expect(await stranger.ask('/health/ready')).toMatchObject({
      status: 503,
      text: '{"status":"not ready"}\n',
    })
  })

  it('gives records as lines, and a stream’s name comes in the path alone', async () => {
    const { ask, log } = await startHttpTest()
    log.append('events', 1, [{ value: 'a' }, { value: '<script>' }])
    const { text, headers } = await ask('/api/v1/streams/%65vents/records?partition=1&count=2&stream=other')
    expect(lines(text).map(({ value }) => value)).toEqual(['a', '<script>'])
    expect(headers['content-type']).toBe('application/x-ndjson; charset=utf-8')
    expect((await ask('/api/v1/streams/other/records?stream=events')).status).toBe(404)
    expect((await ask('/api/v1/streams/events/records?count=x')).status).toBe(400)
  })

  it('says in its last line what ended it: a browser sees no trailers', async () => {
    const { ask, log } = await startHttpTest()
    log.append('events', 0, [{ value: 'a' }])
    log.readFault = new CorruptLogError('events/0', 'a hole')
    expect(lines((await ask('/api/v1/streams/events/records')).text)).toEqual([
      { error: expect.objectContaining({ code: 'HW_CORRUPT_LOG' }) },
    ])
  })

  it('follows a stream until the reader leaves, eight readers at once', async () => {
    const { open, ask, log } = await startHttpTest()
    const path = '/api/v1/streams/events/records?follow=true&from=latest'
    const readers = await Promise.all(Array.from({ length: 8 }, open))
    for (const { socket } of readers) socket.write(`GET ${path} HTTP/1.1\r\n${HOST}\r\n`)
    await until(() => log.listeners === 8, 'all follow')
    expect(await ask(path)).toMatchObject({ status: 503, headers: { 'retry-after': '10' } })
    // what is no stream is answered all the same
    expect((await ask('/api/v1/status')).status).toBe(200)
    log.append('events', 0, [{ value: 'new' }])
    await until(() => readers.every(({ text }) => text.includes('"new"')), 'all have it')
    readers[0]!.socket.destroy()
    await until(() => log.listeners === 7, 'one left')
    expect((await ask('/api/v1/streams/events/records?count=1')).status).toBe(200)
  })
})

describe('the page', () => {
  const files = {
    'index.html': '<!doctype html>',
    'app.js': 'let a',
    'app.js.gz': gzipSync('let a'),
    'app.js.br': 'not looked at',
    'secret.txt': 'x',
    'app.js.map': '{}',
  }

  it('needs no token, runs nothing but its own script, and is in nobody’s frame', async () => {
    const { ask } = await startHttpTest({ files, token: 'x'.repeat(16) })
    const { status, headers, text } = await ask('/')
    expect([status, text, headers['content-type']]).toEqual([
      200,
      files['index.html'],
      'text/html; charset=utf-8',
    ])
    const policy = headers['content-security-policy']
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self';")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
    })
  })

  it('comes compressed as the browser takes it, and not again while it is the same', async () => {
    const { ask } = await startHttpTest({ files })
    const encoded = async (accept: string) => {
      const { headers } = await ask('/app.js', { headers: { 'accept-encoding': accept } })
      return headers['content-encoding']
    }
    expect(await encoded('gzip, deflate, br')).toBe('br')
    expect(await encoded('gzip, br;q=0')).toBe('gzip')
    expect(await encoded('identity')).toBeUndefined()
    const { headers } = await ask('/app.js')
    const again = await ask('/app.js', { headers: { 'if-none-match': headers.etag! } })
    expect([again.status, again.text]).toEqual([304, ''])
  })

  it.each([
    '/secret.txt',
    '/app.js.map',
    '/app.js.gz',
    '/../index.html',
    '/%2e%2e/index.html',
    '/..%2findex.html',
    '/./index.html',
    '//index.html',
    '/index.html/',
    '/index.html%00',
    '/assets/index.html',
    '/\\index.html',
    '/INDEX.HTML',
    '/.index.html',
    '/api/v1/status/',
    '/api/v1/../v1/status',
    '/api/v1/%73tatus',
    '/api//v1/status',
    '/api/v1/streams/a%2fb/records',
    '/api/v1/streams/../../../etc/passwd/records',
  ])('is its files alone: %s is none', async (path) => {
    const { ask } = await startHttpTest({ files })
    expect((await ask(path)).status).toBe(404)
  })
})

describe('a request that is none', () => {
  it.each([
    ['rubbish\r\n\r\n', 400],
    [`GET http://127.0.0.1/api/v1/status HTTP/1.1\r\n${HOST}\r\n`, 400],
    [`GET * HTTP/1.1\r\n${HOST}\r\n`, 400],
    [`OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['GET /api/v1/status HTTP/1.1\r\n\r\n', 400],
    ['GET /api/v1/status HTTP/1.0\r\n\r\n', 403],
    ['GET /api/v1/status HTTP/1.1\r\nhost:\r\n\r\n', 403],
    [`GET /api/v1/streams/%ff/records HTTP/1.1\r\n${HOST}\r\n`, 400],
    [`GET /api/v1/status HTTP/1.1\r\n${HOST}x: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
    [`GET /${'y'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`, 431],
    [`GET /api/v1/status HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
    [
      `POST /api/v1/clients/disconnect HTTP/1.1\r\n${HOST}content-type: application/json\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n`,
      400,
    ],
    [`DELETE /api/v1/status HTTP/1.1\r\n${HOST}\r\n`, 405],
    [`POST /api/v1/status HTTP/1.1\r\n${HOST}content-length: 0\r\n\r\n`, 405],
    [`GET /api/v1/clients/disconnect HTTP/1.1\r\n${HOST}\r\n`, 405],
    [`TRACE /api/v1/status HTTP/1.1\r\n${HOST}\r\n`, 405],
  ])('%j is refused: %i', async (text, status) => {
    const { open, ask } = await startHttpTest()
    const wire = await open()
    wire.socket.write(text)
    await until(() => wire.text.includes('\r\n\r\n') || wire.socket.destroyed, 'it is answered')
    expect(wire.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect((await ask('/health/live')).status).toBe(200)
  })

  it('HEAD has the headers of GET and no body; a followed stream is not opened for it', async () => {
    const { ask, log } = await startHttpTest()
    const head = await ask('/api/v1/status', { method: 'HEAD' })
    const get = await ask('/api/v1/status')
    expect([head.status, head.text]).toEqual([200, ''])
    expect(head.headers['content-length']).toBe(get.headers['content-length'])
    const followed = await ask('/api/v1/streams/events/records?follow=true', { method: 'HEAD' })
    expect([followed.status, log.listeners]).toEqual([200, 0])
  })

  it('405 names what there is', async () => {
    const { ask } = await startHttpTest()
    const { headers } = await ask('/api/v1/status', { method: 'PUT' })
    expect(headers.allow).toBe('GET, HEAD')
  })

  it('a body that is too large ends the connection before all of it was read', async () => {
    const { open } = await startHttpTest()
    const wire = await open()
    wire.socket.write(
      `POST /api/v1/clients/disconnect HTTP/1.1\r\n${HOST}content-type: application/json\r\ncontent-length: 1000000000\r\n\r\n`,
    )
    wire.socket.write('x'.repeat(40_000))
    expect(await wire.ended()).toMatch(/^HTTP\/1\.1 413 .*connection: close/is)
  })

  it('who asks more and more without waiting for answers is cut off', async () => {
    const { open } = await startHttpTest()
    const wire = await open()
    wire.socket.write(`GET /api/v1/streams/events/records?follow=true HTTP/1.1\r\n${HOST}\r\n`)
    wire.socket.write(`GET /api/v1/status HTTP/1.1\r\n${HOST}\r\n`.repeat(100))
    await wire.ended()
  })

  it('requests one behind the other are answered in their order', async () => {
    const { open } = await startHttpTest()
    const wire = await open()
    wire.socket.write(
      `GET /health/live HTTP/1.1\r\n${HOST}\r\nGET /openapi.json HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`,
    )
    expect(await wire.ended()).toMatch(/"live".*"openapi"/s)
  })
})
