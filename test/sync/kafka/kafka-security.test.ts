/** A whole replication through each kind of secure listener of a real Kafka, and what is said when one refuses. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { createCertificate } from '../../support/certificates.ts'
import { describeWithOwnKafka, type SecureKafka, startSecureKafka } from '../../support/kafka/index.ts'
import { startTokenServer, type TokenServer } from '../../support/token-server.ts'
import { SecureEdge, type Security, secretFile } from './security-setup.ts'

const SECRETS = {
  plain: 'plain-secret-4711',
  scram256: 'scram-secret-256-4712',
  scram512: 'scram,secret=512-4713',
  client: 'client-secret+/&4714',
}

describeWithOwnKafka('a Kafka with secure listeners', () => {
  let kafka: SecureKafka
  let tokens: TokenServer
  let ca: string
  const edges: SecureEdge[] = []
  const file = (name: string, text: string) => secretFile(kafka.directory, name, text)

  beforeAll(async () => {
    kafka = await startSecureKafka({ plainPassword: SECRETS.plain })
    const certificate = createCertificate({ name: 'tokens', names: ['127.0.0.1'], issuer: kafka.authority })
    tokens = await startTokenServer(
      kafka.tokenKey,
      certificate,
      'edge-client',
      encodeURIComponent(SECRETS.client),
    )
    ca = await file('ca.pem', kafka.authority.cert)
    await kafka.setScramPassword('edge', 'SCRAM-SHA-256', SECRETS.scram256)
    await kafka.setScramPassword('edge', 'SCRAM-SHA-512', SECRETS.scram512)
  }, 120_000)
  afterEach(async () => {
    await Promise.all(edges.splice(0).map((edge) => edge.stop()))
  })
  afterAll(async () => {
    await tokens?.stop()
    await kafka?.stop()
  })

  /** Records in, the same records back, twice, and no secret in anything that was said. */
  async function proveReplication(listener: Parameters<SecureKafka['address']>[0], security: Security) {
    const edge = new SecureEdge(kafka.server.bootstrap)
    edges.push(edge)
    await edge.start(kafka.address(listener), security)
    await edge.replicate()
    await edge.replicate()
    expect(await edge.readBack()).toBe(160)
    expect(edge.lines).toEqual([])
    for (const secret of [...Object.values(SECRETS), ...tokens.tokens])
      expect(edge.said()).not.toContain(secret)
  }

  it('takes records over TLS with a private authority', async () => {
    await proveReplication('TLS', { tls: { caFile: ca } })
  })

  it('takes records from a client with a certificate, its key encrypted or not', async () => {
    const own = createCertificate({ name: 'edge-a', issuer: kafka.authority })
    const tls = {
      caFile: ca,
      certFile: await file('edge.pem', own.cert),
      keyFile: await file('edge.key', own.key),
    }
    await proveReplication('MUTUAL', { tls })
    const locked = own.privateKey.export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'key-pass',
    })
    const keyFile = await file('locked.key', locked.toString())
    await proveReplication('MUTUAL', {
      tls: { ...tls, keyFile, keyPasswordFile: await file('key.pass', 'key-pass\n') },
    })
  })

  it('takes records by SCRAM-SHA-512 over TLS', async () => {
    const passwordFile = await file('scram512', `${SECRETS.scram512}\n`)
    const sasl = { mechanism: 'SCRAM-SHA-512', username: 'edge', passwordFile } as const
    await proveReplication('SCRAM_TLS', { tls: { caFile: ca }, sasl })
  })

  it('takes records by SCRAM-SHA-256 without TLS', async () => {
    const passwordFile = await file('scram256', SECRETS.scram256)
    await proveReplication('SCRAM', { sasl: { mechanism: 'SCRAM-SHA-256', username: 'edge', passwordFile } })
  })

  it('takes records by PLAIN over TLS', async () => {
    const passwordFile = await file('plain', SECRETS.plain)
    const sasl = { mechanism: 'PLAIN', username: 'edge', passwordFile } as const
    await proveReplication('PLAIN', { tls: { caFile: ca }, sasl })
  })

  it('takes records with a token that the endpoint gives for client credentials', async () => {
    const oauth = {
      tokenEndpoint: tokens.url,
      clientId: 'edge-client',
      clientSecretFile: await file('client', SECRETS.client),
      scope: 'kafka',
      caFile: ca,
      extensions: {},
    }
    await proveReplication('OAUTH', { tls: { caFile: ca }, sasl: { mechanism: 'OAUTHBEARER', oauth } })
    // one for all connections: it lives for an hour
    expect(tokens.requests).toEqual(['grant_type=client_credentials&scope=kafka'])
  })

  it('takes records with a token from a file', async () => {
    const { signToken } = await import('../../support/token-server.ts')
    const token = signToken(kafka.tokenKey, { sub: 'edge', aud: 'kafka' }, 600)
    const oauth = { tokenFile: await file('token', token), extensions: {} }
    await proveReplication('OAUTH', { tls: { caFile: ca }, sasl: { mechanism: 'OAUTHBEARER', oauth } })
  })

  it('is found by the name in its certificate, where the address has another', async () => {
    await proveReplication('TLS', { tls: { caFile: ca, serverName: 'localhost' } })
  })
})
