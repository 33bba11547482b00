import { Value } from '@sinclair/typebox/value'
import { expect, it } from 'vitest'
import { withoutSecrets } from '../../../broker/config/secret-keys.ts'
import { type UpstreamConfig, UpstreamSchema } from '../../../sync/config.ts'
import { createUpstream, upstreamFaults } from '../../../sync/index.ts'

function load(entry: Record<string, unknown>): UpstreamConfig {
  const value = Value.Default(UpstreamSchema, entry)
  if (!Value.Check(UpstreamSchema, value))
    throw new Error(JSON.stringify([...Value.Errors(UpstreamSchema, value)]))
  return value
}

const NATS = { name: 'central', kind: 'nats', servers: ['127.0.0.1:4222'] }

it('needs no more than servers: the rest has defaults', () => {
  expect(load(NATS)).toMatchObject({
    ...NATS,
    stream: 'headwater',
    subjectPrefix: 'headwater',
    createStream: false,
    newStream: { replicas: 1, storage: 'file', bytesMax: -1, ageHoursMax: 0 },
    inboxPrefix: '_INBOX',
    messageBytesMax: 524_288,
    ackMs: 10_000,
    round: { bytesMax: 4_194_304, lingerMs: 100 },
    backoff: { firstMs: 1000, msMax: 20_000 },
  })
  expect(load({ ...NATS, stream: 'HW-{edge}_{stream}', subjectPrefix: 'site.hw' })).toBeDefined()
})

it('refuses names that are none in NATS, and addresses that are not host and port', () => {
  expect(() => load({ ...NATS, servers: ['nats://127.0.0.1:4222'] })).toThrow()
  for (const stream of ['a.b', 'a b', '{edges}', '*', '']) {
    expect(() => load({ ...NATS, stream }), stream).toThrow()
  }
  for (const subjectPrefix of ['a.', '.a', 'a.*', '>', 'a b']) {
    expect(() => load({ ...NATS, subjectPrefix }), subjectPrefix).toThrow()
  }
})

it('finds what a login lacks or has twice, and what else a schema cannot say', async () => {
  const faults = (changes: Record<string, unknown>) =>
    upstreamFaults(load({ ...NATS, ...changes })).map(({ message }) => message)
  const ofLogin = (login: Record<string, unknown>) => faults({ login })
  expect(faults({})).toEqual([])
  for (const login of [
    { user: 'u', password: 'p' },
    { token: 't' },
    { tokenEnv: 'T' },
    { nkeyFile: '/n' },
    { credsFile: '/c' },
  ]) {
    expect(ofLogin(login)).toEqual([])
  }
  expect(ofLogin({})).toEqual([expect.stringContaining('nobody logs in')])
  expect(ofLogin({ user: 'u' })).toEqual(['there is no password'])
  expect(ofLogin({ token: 't', password: 'p' })).toEqual(['there is a password and no user'])
  const twice = { user: 'u', password: 'p', passwordEnv: 'P' }
  expect(ofLogin(twice)).toEqual(['the password is given more than once'])
  expect(ofLogin({ token: 't', tokenFile: '/t' })).toEqual(['the token is given more than once'])
  expect(ofLogin({ nkeyFile: '/n', credsFile: '/c' })).toEqual(['there is more than one way to log in'])
  expect(faults({ tls: { certFile: '/c' } })).toHaveLength(1)
  expect(faults({ backoff: { firstMs: 5000, msMax: 1000 } })).toHaveLength(1)
  const wrong = load({ ...NATS, login: {} })
  await expect(createUpstream(wrong)).rejects.toMatchObject({ code: 'HW_UPSTREAM_CONFIG' })
})

it('is printed without its secrets', () => {
  const config = load({ ...NATS, login: { user: 'edge', password: 'p-4711', token: 't-4712' } })
  const printed = JSON.stringify(withoutSecrets(UpstreamSchema, config))
  expect(printed).not.toMatch(/4711|4712/)
  expect(printed).toContain('"user":"edge"')
})

it('warns of a password that goes over the network as it is, and of nothing that is signed or encrypted', async () => {
  const warnings = async (changes: Record<string, unknown>) => {
    const lines: string[] = []
    const sink = { info: () => {}, warn: (line: string) => void lines.push(line), error: () => {} }
    await (
      await createUpstream(load({ ...NATS, servers: ['nats.example:4222'], ...changes }), { sink })
    ).close()
    return lines
  }
  expect(await warnings({ login: { user: 'u', password: 'p' } })).toEqual([
    'upstream central: without tls the password may be shown to everybody on the way - add tls',
  ])
  expect(await warnings({ login: { token: 't' } })).toEqual([expect.stringContaining('the token')])
  expect(await warnings({ login: { token: 't' }, tls: {} })).toEqual([])
  expect(await warnings({ login: { token: 't' }, servers: ['127.0.0.1:4222', '[::1]:4222'] })).toEqual([])
  expect(await warnings({ login: { nkeyFile: '/n' } })).toEqual([])
})
