/** Who may ask what over HTTP: by address, token, Host and Origin. */
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Asker, Guard } from '../../../../broker/operations/http/guard.ts'
import { RecordingSink } from '../../log/support.ts'
import { type AskOptions, type HttpTest, type HttpTestOptions, post, startHttpTest } from './support.ts'

const TOKEN = '0123456789abcdef'
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

const OPEN = ['/health/live', '/health/ready', '/openapi.json']
const STATUS = [
  '/api/v1/status',
  '/api/v1/streams',
  '/api/v1/upstreams',
  '/api/v1/alarms',
  '/api/v1/history',
  '/api/v1/log/damage',
]
const FULL = ['/api/v1/clients', '/api/v1/streams/events/records', '/api/v1/streams/events/table']
const ACTIONS = [
  '/api/v1/log/acknowledge',
  '/api/v1/clients/disconnect',
  '/api/v1/streams/events/compact',
  '/api/v1/upstreams/archive/pause',
  '/api/v1/upstreams/archive/resume',
  '/api/v1/upstreams/archive/now',
]

/** @returns what is answered with 401 */
async function refused({ ask }: HttpTest, options: AskOptions = {}): Promise<string[]> {
  const all = [
    ...[...OPEN, ...STATUS, ...FULL].map((path) => ({ path, how: options })),
    ...ACTIONS.map((path) => ({ path, how: post({}, options.headers) })),
  ]
  const found: string[] = []
  for (const { path, how } of all) {
    const { status, headers } = await ask(path, how)
    if (status === 401) {
      expect(headers['www-authenticate']).toBe('Bearer realm="headwater"')
      found.push(path)
    }
  }
  return found
}

describe('without a token', () => {
  it('this machine may ask everything, as long as clients may do everything', async () => {
    expect(await refused(await startHttpTest())).toEqual([])
  })

  it('once users or permissions are configured it is told how the broker is, and nothing that MQTT would deny', async () => {
    const test = await startHttpTest({ isGuarded: true })
    expect(await refused(test)).toEqual([...FULL, ...ACTIONS])
    // a token that nobody configured opens nothing
    expect(await refused(test, bearer(TOKEN))).toEqual([...FULL, ...ACTIONS])
    expect(await test.json('/api/v1/clients')).toEqual({
      error: {
        code: 'HW_UNAUTHORIZED',
        message: 'there are users or permissions, so this takes more than to be on this machine: a token',
        hint: 'name a file with a token in http.tokenFile, restart, and send it as `Authorization: Bearer TOKEN`',
        retryable: false,
      },
    })
  })

  it.each([
    'x-forwarded-for',
    'forwarded',
    'x-real-ip',
    'via',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-client-ip',
  ])('what a proxy forwards is not of this machine: %s', async (name) => {
    const headers = { [name]: '192.0.2.1' }
    expect(await refused(await startHttpTest(), { headers })).toEqual([...STATUS, ...FULL, ...ACTIONS])
  })

  it('another machine is told nothing, should it ever get here', async () => {
    const guard = new Guard({
      token: null,
      hosts: [],
      isGuarded: () => false,
      log: new RecordingSink(),
      monotonic: () => 0,
    })
    const from = (address: string): Asker => ({ address, headers: { host: '192.0.2.1' } })
    expect(await guard.granted(from('192.0.2.1'))).toBe('open')
    expect(await guard.granted(from('::ffff:192.0.2.1'))).toBe('open')
    expect(await guard.granted(from('::1'))).toBe('full')
    expect(await guard.granted(from('::ffff:127.0.0.1'))).toBe('full')
  })
})

describe('with a token', () => {
  const started = (more: HttpTestOptions = {}) => startHttpTest({ token: `${TOKEN}\n`, ...more })

  it('it alone opens everything, also for this machine and where users are configured', async () => {
    const test = await started({ isGuarded: true })
    expect(await refused(test)).toEqual([...STATUS, ...FULL, ...ACTIONS])
    expect(await refused(test, bearer(TOKEN))).toEqual([])
    expect(await refused(test, { headers: { authorization: `bearer  ${TOKEN}` } })).toEqual([])
  })

  it.each([
    '',
    `Basic ${TOKEN}`,
    'Bearer',
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN} x`,
  ])('nothing else does: %j', async (authorization) => {
    const { ask } = await started()
    const { status } = await ask('/api/v1/status', { headers: { authorization } })
    expect(status).toBe(401)
  })

  it('another one counts without a restart; while the file is no token, the old one does', async () => {
    const { ask, directory, time, sink } = await started()
    const status = async (token: string) => (await ask('/api/v1/status', bearer(token))).status
    writeFileSync(`${directory}.token`, 'another-token-now\n')
    time.now += 1000
    expect([await status(TOKEN), await status('another-token-now')]).toEqual([401, 200])
    expect(sink.matching('the HTTP token has changed')).toHaveLength(1)
    writeFileSync(`${directory}.token`, 'short')
    time.now += 1000
    expect([await status('short'), await status('another-token-now')]).toEqual([401, 200])
    expect(sink.matching('the HTTP token cannot be read again: the old one counts')).toHaveLength(1)
  })

  it('wrong ones are held to a rate, which a page that repeats its old token does not use up', async () => {
    const { ask, time, sink } = await started()
    const status = async (token: string) => (await ask('/api/v1/status', bearer(token))).status
    for (let i = 0; i < 50; i++) expect(await status('an-old-token-of-a-page')).toBe(401)
    for (let i = 0; i < 9; i++) expect(await status(`guess-${i}`)).toBe(401)
    const { status: limited, headers } = await ask('/api/v1/status', bearer('guess-9'))
    expect([limited, headers['retry-after']]).toEqual([429, '10'])
    // nobody finds the right one by trying faster
    expect(await status(TOKEN)).toBe(429)
    time.now += 6_000
    expect(await status(TOKEN)).toBe(200)
    expect(sink.matching('wrong token')).toHaveLength(1)
    expect(JSON.stringify(sink.lines)).not.toContain('guess')
  })

  it('who guesses does not keep out who showed the right one from the same address before', async () => {
    const { ask, directory, time } = await started()
    const status = async (token: string) => (await ask('/api/v1/status', bearer(token))).status
    expect(await status(TOKEN)).toBe(200)
    for (let i = 0; i < 20; i++) await status(`guess-${i}`)
    expect([await status('guess-20'), await status(TOKEN)]).toEqual([429, 200])
    // once it is the right one no longer, it is one of the wrong ones
    writeFileSync(`${directory}.token`, 'another-token-now')
    time.now += 1000
    expect([await status(TOKEN), await status('another-token-now')]).toEqual([401, 429])
  })
})

describe('a page of somebody else', () => {
  it.each([
    'evil.example',
    'evil.example:9180',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '[::1',
    'a b',
  ])('whose name leads here (DNS rebinding) is refused: Host %j', async (host) => {
    const { ask, json } = await startHttpTest()
    const { status } = await ask('/api/v1/status', { headers: { host } })
    expect(status).toBe(403)
    expect(await json('/health/live', { headers: { host } })).toMatchObject({
      error: { code: 'HW_HTTP_REFUSED' },
    })
  })

  it.each([
    'localhost',
    'LOCALHOST:1',
    'x.localhost',
    '127.0.0.1:9180',
    '192.0.2.7',
    '[::1]:9180',
    'edge',
    'Edge:80',
  ])('is not what calls it %j', async (host) => {
    const { ask } = await startHttpTest({ hosts: ['edge'] })
    expect((await ask('/api/v1/status', { headers: { host } })).status).toBe(200)
  })

  it('does not have the token: who shows it may use any name', async () => {
    const { ask } = await startHttpTest({ token: TOKEN })
    const host = 'metrics.example.org'
    expect((await ask('/api/v1/status', { headers: { host } })).status).toBe(403)
    expect((await ask('/api/v1/status', { headers: { host, ...bearer(TOKEN).headers } })).status).toBe(200)
    // as through a proxy that has its own Host
    const across = post(
      { clientId: 'sensor-1' },
      { origin: 'https://metrics.example.org', ...bearer(TOKEN).headers },
    )
    expect((await ask('/api/v1/clients/disconnect', across)).status).toBe(200)
  })

  it.each(['http://evil.example', 'null', 'https://127.0.0.1', 'http://localhost:1'])(
    'that sends something across is refused, whatever it asks: Origin %s',
    async (origin) => {
      const { ask, log } = await startHttpTest()
      log.append('events', 0, [{ value: 'a' }])
      const across = post({ clientId: 'sensor-1' }, { origin })
      expect((await ask('/api/v1/clients/disconnect', across)).status).toBe(403)
      expect((await ask('/api/v1/status', { headers: { origin } })).status).toBe(403)
      expect(await ask('/api/v1/clients')).toMatchObject({ text: expect.stringContaining('sensor-1') })
    },
  )

  it.each([
    ['cross-site', 'image'],
    ['cross-site', 'iframe'],
    ['cross-site', undefined],
    ['same-site', 'script'],
  ])('that only loads something keeps no stream busy: Sec-Fetch-Site %s, to a %s', async (site, to) => {
    const { ask } = await startHttpTest()
    const headers = { 'sec-fetch-site': site, ...(to === undefined ? {} : { 'sec-fetch-dest': to }) }
    expect((await ask('/api/v1/streams/events/records', { headers })).status).toBe(403)
  })

  it.each([
    ['cross-site', 'document'],
    ['same-origin', 'empty'],
    ['none', 'document'],
  ])(
    'may lead a person to the page, who asks then as the page does: Sec-Fetch-Site %s, to a %s',
    async (site, to) => {
      const { ask } = await startHttpTest({ files: { 'index.html': 'page' } })
      const headers = { 'sec-fetch-site': site, 'sec-fetch-dest': to }
      expect((await ask('/', { headers })).status).toBe(200)
    },
  )

  it('is not the page of the broker itself', async () => {
    const { ask, port } = await startHttpTest()
    for (const origin of [`http://127.0.0.1:${port}`, `https://127.0.0.1:${port}`]) {
      const own = post({ clientId: 'sensor-1' }, { origin })
      expect((await ask('/api/v1/clients/disconnect', own)).status).not.toBe(403)
    }
  })

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', ''])(
    'can send a form without asking, and that is no JSON: %j',
    async (type) => {
      const { ask } = await startHttpTest()
      const headers: Record<string, string> = type === '' ? {} : { 'content-type': type }
      const form = { method: 'POST', headers, body: '{"clientId":"sensor-1"}' }
      expect((await ask('/api/v1/clients/disconnect', form)).status).toBe(415)
      expect((await ask('/api/v1/clients')).text).toContain('sensor-1')
    },
  )

  it('reads nothing: no answer says that it may', async () => {
    const { ask } = await startHttpTest()
    const preflight = await ask('/api/v1/clients/disconnect', {
      method: 'OPTIONS',
      headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
    })
    expect(preflight.status).toBe(403)
    for (const { headers } of [preflight, await ask('/api/v1/status')]) {
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })
})
