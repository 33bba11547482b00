/** Secrets stand in no output: of a broker that logs in and is refused, of every command beside it, of configurations that are wrong. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCertificate } from '../support/certificates.ts'
import { describeWithOwnKafka, type SecureKafka, startSecureKafka } from '../support/kafka/index.ts'
import { signToken, startTokenServer, type TokenServer } from '../support/token-server.ts'
import { type Finished, headwater, publish, scratch, startBroker } from './headwater.ts'

const SECRETS = {
  inline: 'inline-Secret-81',
  file: 'file-Secret-82',
  environment: 'env-Secret-83',
  client: 'client-Secret-84',
}

function expectNone(text: string, more: readonly string[] = []): void {
  for (const secret of [...Object.values(SECRETS), ...more]) {
    expect(text).not.toContain(secret)
    expect(text).not.toContain(Buffer.from(secret).toString('base64'))
  }
}

const said = ({ stdout, stderr }: Finished) => stdout + stderr

describeWithOwnKafka('a broker whose upstreams refuse its login', () => {
  let kafka: SecureKafka
  let tokens: TokenServer
  beforeAll(async () => {
    kafka = await startSecureKafka({ plainPassword: 'another' })
    const certificate = createCertificate({ name: 'tokens', names: ['127.0.0.1'], issuer: kafka.authority })
    tokens = await startTokenServer(kafka.tokenKey, certificate, 'edge', 'another')
  }, 120_000)
  afterAll(async () => {
    await tokens?.stop()
    await kafka?.stop()
  })

  function configuration(home: string, token: string): string {
    writeFileSync(join(home, 'ca.pem'), kafka.authority.cert)
    writeFileSync(join(home, 'password'), SECRETS.file, { mode: 0o640 })
    writeFileSync(join(home, 'token'), token, { mode: 0o600 })
    const upstream = (name: string, listener: 'PLAIN' | 'SCRAM_TLS' | 'OAUTH', sasl: unknown) => ({
      name,
      kind: 'kafka',
      bootstrap: [kafka.address(listener)],
      tls: { caFile: 'ca.pem' },
      sasl,
      groupPrefix: `${name}.`,
    })
    const oauth = {
      tokenEndpoint: tokens.url,
      clientId: 'edge',
      clientSecret: SECRETS.client,
      caFile: 'ca.pem',
    }
    const upstreams = [
      upstream('inline', 'PLAIN', { mechanism: 'PLAIN', username: 'edge', password: SECRETS.inline }),
      upstream('file', 'SCRAM_TLS', { username: 'edge', passwordFile: 'password' }),
      upstream('environment', 'PLAIN', {
        mechanism: 'PLAIN',
        username: 'edge',
        passwordEnv: 'KAFKA_PASSWORD',
      }),
      upstream('client', 'OAUTH', { mechanism: 'OAUTHBEARER', oauth }),
      upstream('token', 'OAUTH', { mechanism: 'OAUTHBEARER', oauth: { tokenFile: 'token' } }),
    ]
    writeFileSync(join(home, 'headwater.yaml'), JSON.stringify({ upstreams }, null, 1))
    return home
  }

  it('shows no secret in its log, in any status, or to any command', async () => {
    const token = signToken(kafka.tokenKey, { sub: 'edge', aud: 'another' }, 600)
    const home = configuration(scratch(), token)
    const env = { KAFKA_PASSWORD: SECRETS.environment, HEADWATER_DEBUG: '1', HEADWATER_LOG: 'debug' }
    const { broker, port } = await startBroker([], home, env)
    await publish(port, [['a/b', 'x']])
    const status = async () => JSON.parse((await headwater(['sync', 'status', '--json'], home, env)).stdout)
    type Row = { name: string; lastError: { code: string } | null }
    let rows: Row[] = []
    for (let tries = 0; rows.filter(({ lastError }) => lastError !== null).length < 5; tries++) {
      expect(tries).toBeLessThan(100)
      rows = (await status()).upstreams
    }
    expect(rows.map(({ name, lastError }) => `${name} ${lastError?.code}`)).toEqual([
      'inline HW_UPSTREAM_AUTH',
      'file HW_UPSTREAM_AUTH',
      'environment HW_UPSTREAM_AUTH',
      'client HW_UPSTREAM_TOKEN',
      'token HW_UPSTREAM_AUTH',
    ])
    const commands = [
      ['sync', 'status'],
      ['sync', 'status', '--json'],
      ['status'],
      ['status', '--json'],
      ['check'],
      ['check', '--json'],
      ['sync', 'now'],
      ['plan-start'],
    ]
    for (const finished of await Promise.all(commands.map((command) => headwater(command, home, env)))) {
      expect(said(finished).length).toBeGreaterThan(20)
      expectNone(said(finished), [token])
    }
    await broker.end('SIGTERM')
    const log = broker.stdout + broker.stderr
    expect(log).toMatch(/sasl\.passwordFile \S+password is open to other users \(mode 640\) - chmod 600/)
    expectNone(log, [token])
    for (const name of ['headwater.json']) expectNone(readFileSync(join(home, 'data', name), 'utf8'), [token])
  }, 60_000)
})

describe('a configuration that is wrong', () => {
  const wrong: readonly (readonly [string, string])[] = [
    ['a password of another kind', 'sasl: { username: u, password: [inline-Secret-81] }'],
    ['a password of digits', 'sasl: { username: u, password: 8100000081 }'],
    ['a password given twice', 'sasl: { username: u, password: inline-Secret-81, passwordFile: p }'],
    ['an unknown key with a secret', 'sasl: { username: u, pasword: inline-Secret-81 }'],
    [
      'a client secret of another kind',
      'sasl: { mechanism: OAUTHBEARER, oauth: { clientSecret: { a: client-Secret-84 } } }',
    ],
    [
      'a user in the endpoint',
      'sasl: { mechanism: OAUTHBEARER, oauth: { tokenEndpoint: "https://u:client-Secret-84@h/" } }',
    ],
    ['quotes that do not end', 'sasl: { username: u, password: "inline-Secret-81 }'],
    ['a bracket too many', 'sasl: { username: u, password: inline-Secret-81 } }'],
  ]
  it.each(wrong)('shows no secret: %s', async (_, line) => {
    const home = scratch()
    const text = `upstreams:\n  - name: c\n    kind: kafka\n    bootstrap: ["127.0.0.1:1"]\n    ${line}\n`
    writeFileSync(join(home, 'headwater.yaml'), text)
    const commands = [['check'], ['check', '--json']]
    const env = { HEADWATER_DEBUG: '1' }
    for (const finished of await Promise.all(commands.map((command) => headwater(command, home, env)))) {
      expect(finished.code).toBe(2)
      expectNone(said(finished), ['8100000081'])
    }
  })
})
