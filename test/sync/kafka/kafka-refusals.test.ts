/** Each way in which a secure listener and an edge do not come together has a line of its own, with a way out and no secret in it. */
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server as TlsServer } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { ClockReading } from '../../../sync/clock-reading.ts'
import type { KafkaUpstreamConfig } from '../../../sync/config.ts'
import { type Certificate, createAuthority, createCertificate } from '../../support/certificates.ts'
import {
  describeWithOwnKafka,
  type SecureKafka,
  type SecureListener,
  startSecureKafka,
} from '../../support/kafka/index.ts'
import { signToken, startTokenServer, type TokenServer } from '../../support/token-server.ts'
import { refusal, type Security, secretFile, securityConfig } from './security-setup.ts'

const SECRETS = ['wrong-secret-1', 'right-secret-2', 'client-secret-3']
const DAY_MS = 86_400_000
const day = (days: number) => new Date(Date.now() + days * DAY_MS)

describeWithOwnKafka('a secure listener that refuses', () => {
  let kafka: SecureKafka
  let tokens: TokenServer
  let ca: string
  let tls: NonNullable<KafkaUpstreamConfig['tls']>
  const servers: { close(): unknown }[] = []
  const file = (name: string, text: string, mode?: number) => secretFile(kafka.directory, name, text, mode)

  beforeAll(async () => {
    kafka = await startSecureKafka({ plainPassword: 'right-secret-2' })
    const certificate = createCertificate({ name: 'tokens', names: ['127.0.0.1'], issuer: kafka.authority })
    tokens = await startTokenServer(kafka.tokenKey, certificate, 'edge-client', 'client-secret-3')
    ca = await file('ca.pem', kafka.authority.cert)
    tls = { caFile: ca }
    await kafka.setScramPassword('edge', 'SCRAM-SHA-512', 'right-secret-2')
  }, 120_000)
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })
  afterAll(async () => {
    await tokens?.stop()
    await kafka?.stop()
  })

  async function refused(address: string, security: Security, clock?: ClockReading) {
    const deps = clock === undefined ? {} : { readClock: () => clock }
    const { error, said } = await refusal(securityConfig(address, security), deps)
    expect(error.line).not.toContain('\n')
    expect(error).toMatchObject({ retryable: true, slow: true })
    for (const secret of [...SECRETS, ...tokens.tokens]) expect(said).not.toContain(secret)
    return `${error.line}`
  }

  const at = (listener: SecureListener) => kafka.address(listener)

  /** A TLS server that is no Kafka, with any certificate: it is refused before anything is said. */
  async function shows(certificate: Certificate): Promise<string> {
    const server: TlsServer = createServer({ cert: certificate.cert, key: certificate.key })
    server.on('tlsClientError', () => {})
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `127.0.0.1:${(server.address() as { port: number }).port}`
  }

  const clock = (trust: ClockReading['trust'], now = Date.now()): ClockReading => ({
    now,
    trust,
    evidence: 'told by the test',
  })
  const names = ['127.0.0.1']

  it('has an unknown authority', async () => {
    const other = await file('other.pem', createAuthority('Another Authority').cert)
    expect(await refused(at('TLS'), { tls: { caFile: other } })).toMatch(
      /^HW_UPSTREAM_TLS: .*from an authority \(CN=Test Authority\) that is not in tls\.caFile \S+other\.pem - put that/,
    )
    expect(await refused(at('TLS'), { tls: {} })).toMatch(
      /not among the system's - name the file .*tls\.caFile/,
    )
  })

  it('has another name', async () => {
    expect(await refused(at('TLS'), { tls: { ...tls, serverName: 'kafka.example' } })).toMatch(
      /^HW_UPSTREAM_TLS: .*not for kafka\.example but for 127\.0\.0\.1, localhost - .*tls\.serverName: 127\.0\.0\.1/,
    )
  })

  it('has a certificate that has expired, whatever the clock', async () => {
    const until = day(-3)
    const address = await shows(
      createCertificate({ name: 'a', names, from: day(-9), until, issuer: kafka.authority }),
    )
    const when = until.toISOString().slice(0, 10)
    expect(await refused(address, { tls }, clock('synchronized'))).toMatch(
      new RegExp(`^HW_UPSTREAM_TLS: .*its certificate expired on ${when}T\\S+Z - .*renewed there`),
    )
    expect(await refused(address, { tls }, clock('untrusted'))).toMatch(
      /expired on .*by a clock that is not synchronized/,
    )
  })

  it('has an authority that has expired', async () => {
    const old = createAuthority('Old Authority', { from: day(-9), until: day(-1) })
    const address = await shows(createCertificate({ name: 'a', names, issuer: old }))
    const line = await refused(address, { tls: { caFile: await file('old.pem', old.cert) } })
    expect(line).toMatch(/^HW_UPSTREAM_TLS: .*expired/)
  })

  it('has a certificate that is not valid yet, which speaks against an uncertain clock and for a certain one', async () => {
    const from = day(2)
    const address = await shows(
      createCertificate({ name: 'a', names, from, until: day(9), issuer: kafka.authority }),
    )
    for (const trust of ['untrusted', 'assumed'] as const) {
      expect(await refused(address, { tls }, clock(trust))).toMatch(
        /^HW_UPSTREAM_CLOCK: .*clock is wrong: it shows 2\S+Z \(told by the test\), and its certificate is valid from \S+Z - sync goes on by itself once/,
      )
    }
    for (const trust of ['synchronized', 'rtc'] as const) {
      expect(await refused(address, { tls }, clock(trust))).toMatch(
        /^HW_UPSTREAM_TLS: .*valid only from \S+Z; the clock shows/,
      )
    }
    expect(await refused(address, { tls }, clock('synchronized', Date.UTC(2020, 0, 1)))).toMatch(
      /^HW_UPSTREAM_CLOCK: /,
    )
  })

  it("asks for this device's certificate, or does not take it", async () => {
    expect(await refused(at('MUTUAL'), { tls })).toMatch(
      /^HW_UPSTREAM_CERTIFICATE: .*asks for one and there is none - .*tls\.certFile/,
    )
    const own = async (name: string, certificate: Certificate) => ({
      tls: {
        ...tls,
        certFile: await file(`${name}.pem`, certificate.cert),
        keyFile: await file(`${name}.key`, certificate.key),
      },
    })
    const stranger = createCertificate({ name: 'edge-a', issuer: createAuthority('Strange Authority') })
    expect(await refused(at('MUTUAL'), await own('stranger', stranger))).toMatch(
      /^HW_UPSTREAM_CERTIFICATE: .*CN=edge-a from CN=Strange Authority, valid until \S+Z, was refused.*ssl\.truststore/,
    )
    const expired = createCertificate({
      name: 'edge-a',
      from: day(-9),
      until: day(-2),
      issuer: kafka.authority,
    })
    expect(await refused(at('MUTUAL'), await own('expired', expired))).toMatch(
      /^HW_UPSTREAM_CERTIFICATE: .*it expired on \S+Z - put a new certificate into \S+expired\.pem/,
    )
    const early = createCertificate({ name: 'edge-a', from: day(2), issuer: kafka.authority })
    expect(await refused(at('MUTUAL'), await own('early', early))).toMatch(
      /^HW_UPSTREAM_CERTIFICATE: .*it is valid from/,
    )
  })

  it('is not asked with files that are wrong', async () => {
    const one = createCertificate({ name: 'one' })
    const certFile = await file('one.pem', one.cert)
    const key = async (name: string, text: string, more = {}) =>
      refused(at('MUTUAL'), { tls: { ...tls, certFile, keyFile: await file(name, text), ...more } })
    expect(await key('two.key', createCertificate({ name: 'two' }).key)).toMatch(
      /^HW_UPSTREAM_SECRET: tls\.keyFile \S+two\.key: it is not the key of the certificate in tls\.certFile \S+one\.pem - /,
    )
    expect(await key('no.key', 'hello')).toMatch(/no\.key: it has no PEM private key - .*BEGIN PRIVATE KEY/)
    expect(await key('cut.key', one.key.replace(/\n.{20}/, '\n'))).toMatch(/cut\.key: the key is damaged/)
    const locked = one.privateKey.export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'right-secret-2',
    })
    expect(await key('locked.key', locked.toString())).toMatch(
      /is encrypted and there is no password - .*tls\.keyPasswordFile/,
    )
    const keyPasswordFile = await file('locked.pass', 'wrong-secret-1')
    expect(await key('locked.key', locked.toString(), { keyPasswordFile })).toMatch(
      /password in tls\.keyPassword does not open/,
    )
    const noCertificate = await file('empty.pem', 'hello')
    expect(await refused(at('TLS'), { tls: { caFile: noCertificate } })).toMatch(
      /^HW_UPSTREAM_SECRET: tls\.caFile \S+empty\.pem: it has no PEM certificate - .*BEGIN CERTIFICATE/,
    )
    const damaged = await file('damaged.pem', kafka.authority.cert.replace(/\n[^-]{30}/, '\n'))
    expect(await refused(at('TLS'), { tls: { caFile: damaged } })).toMatch(
      /damaged\.pem: its certificate 1 is damaged/,
    )
  })

  it('has another password, or knows no such user', async () => {
    const scram = (username: string, password: string) =>
      refused(at('SCRAM_TLS'), { tls, sasl: { mechanism: 'SCRAM-SHA-512', username, password } })
    const wrong =
      /^HW_UPSTREAM_AUTH: .*refused this edge: wrong user or password \(.*\) - check sasl\.username/
    expect(await scram('edge', 'wrong-secret-1')).toMatch(wrong)
    expect(await scram('nobody', 'wrong-secret-1')).toMatch(wrong)
    const sasl = { mechanism: 'PLAIN', username: 'edge', password: 'wrong-secret-1' } as const
    expect(await refused(at('PLAIN'), { tls, sasl })).toMatch(wrong)
  })

  it('does not know the mechanism, or wants no login, or wants one', async () => {
    const sasl = { mechanism: 'SCRAM-SHA-256', username: 'edge', password: 'right-secret-2' } as const
    expect(await refused(at('PLAIN'), { tls, sasl })).toMatch(
      /^HW_UPSTREAM_AUTH: .*does not know the mechanism SCRAM-SHA-256, it offers: PLAIN - set sasl\.mechanism/,
    )
    expect(await refused(at('TLS'), { tls, sasl })).toMatch(
      /^HW_UPSTREAM_AUTH: .*asks for no login - remove sasl/,
    )
    const wants =
      /^HW_UPSTREAM_UNREACHABLE: .*asks for a login, and this upstream has no sasl - .*it offers: SCRAM-SHA-512/
    const { error } = await refusal(securityConfig(at('SCRAM_TLS'), { tls }))
    expect(error.line).toMatch(wants)
  })

  it('speaks TLS where none is wanted, and none where it is', async () => {
    expect(await refused(at('TLS'), {})).toMatch(
      /^HW_UPSTREAM_TLS: .*that port speaks TLS, and this upstream has no tls - add tls/,
    )
    expect(await refused(at('SCRAM'), { tls })).toMatch(
      /^HW_UPSTREAM_TLS: .*that port does not speak TLS - use the port/,
    )
    expect(await refused(kafka.server.bootstrap, { tls })).toMatch(
      /^HW_UPSTREAM_TLS: .*that port does not speak TLS/,
    )
  })

  it('does not take a token', async () => {
    const token = async (claims: Record<string, unknown>, seconds: number) => {
      const oauth = {
        tokenFile: await file('token', signToken(kafka.tokenKey, claims, seconds)),
        extensions: {},
      }
      return refused(at('OAUTH'), { tls, sasl: { mechanism: 'OAUTHBEARER', oauth } })
    }
    const line =
      /^HW_UPSTREAM_AUTH: .*refused this edge: the token was refused \(invalid_token\) - check what the token says/
    expect(await token({ sub: 'edge', aud: 'other' }, 600)).toMatch(line)
    expect(await token({ sub: 'edge', aud: 'kafka' }, -600)).toMatch(line)
  })

  it('is not asked without a token: the endpoint refuses, is away, is not trusted, or gives none', async () => {
    const ask = (changes: Record<string, string>) => {
      const oauth = {
        tokenEndpoint: tokens.url,
        clientId: 'edge-client',
        clientSecret: 'client-secret-3',
        caFile: ca,
        extensions: {},
      }
      return refused(at('OAUTH'), {
        tls,
        sasl: { mechanism: 'OAUTHBEARER', oauth: { ...oauth, ...changes } },
      })
    }
    expect(await ask({ clientSecret: 'wrong-secret-1' })).toMatch(
      /^HW_UPSTREAM_TOKEN: no token from https:\S+\/token: it refused client edge-client \(HTTP 401: invalid_client, no such client or secret\) - check sasl\.oauth\.clientId/,
    )
    expect(await ask({ tokenEndpoint: 'https://127.0.0.1:1/token' })).toMatch(
      /^HW_UPSTREAM_TOKEN: .*cannot be reached \(ECONNREFUSED\) - check sasl\.oauth\.tokenEndpoint/,
    )
    const stranger = await file('stranger.pem', createAuthority('Another Authority').cert)
    expect(await ask({ caFile: stranger })).toMatch(
      /^HW_UPSTREAM_TLS: no TLS connection to the token endpoint \S+: .*\(CN=Test Authority\) that is not in sasl\.oauth\.caFile/,
    )
    const other = createHttpServer((_, response) => response.end('<html>hello</html>'))
    servers.push(other)
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    expect(await ask({ tokenEndpoint: `http://127.0.0.1:${port}/` })).toMatch(
      /^HW_UPSTREAM_TOKEN: .*its answer has no token/,
    )
  })

  it('says which files with secrets others can read, once each, and how to mend it', async () => {
    const passwordFile = await file('open', 'wrong-secret-1', 0o644)
    const config = securityConfig(at('SCRAM_TLS'), {
      tls,
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'edge', passwordFile },
    })
    const { said } = await refusal(config)
    const warnings = said.split('\n').filter((line) => line.includes('chmod'))
    expect(warnings).toEqual([
      `upstream central: sasl.passwordFile ${passwordFile} is open to other users (mode 644) - chmod 600 ${passwordFile}`,
    ])
  })
})
