/**
 * Certificates and passwords that change while records flow, on the edge and on the cluster, and logins that last for seconds: no
 * error, nothing lost, nothing twice. The clock of the edge is put forward, so that it looks at its files.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../sync/clock.ts'
import { createAuthority, createCertificate } from '../../support/certificates.ts'
import { describeWithOwnKafka, type SecureKafka, startSecureKafka } from '../../support/kafka/index.ts'
import { startTokenServer } from '../../support/token-server.ts'
import { SecureEdge, secretFile, until } from './security-setup.ts'

const LOGIN_MS_MAX = 2000
const A_MINUTE_MS = 60_000
/** For a second look, which a failure needs to be told. */
const SOON_MS = 3000
/** Kafka takes a new certificate for a listener only where the names stay. */
const NAMES = ['127.0.0.1', 'localhost']
/** Published by the client library at the end of each connection attempt. */
const CONNECTED = 'tracing:plt:kafka:connections:connects:asyncEnd'

function leapingClock() {
  let ahead = 0
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead }
  return { clock, leap: (ms: number) => (ahead += ms) }
}

describeWithOwnKafka('a secure Kafka that goes on', () => {
  let kafka: SecureKafka
  let ca: string
  let edge: SecureEdge
  let connects = 0
  /** Of the edge, not of the test itself. */
  const count = (message: unknown) => {
    const { error, connection } = message as { error?: unknown; connection: { context: unknown } }
    if (error === undefined && connection.context !== 'test') connects++
  }
  const file = (name: string, text: string) => secretFile(kafka.directory, name, text)

  beforeAll(async () => {
    kafka = await startSecureKafka({ plainPassword: 'x', loginMsMax: LOGIN_MS_MAX })
    ca = await file('ca.pem', kafka.authority.cert)
    subscribe(CONNECTED, count)
  }, 120_000)
  beforeEach(() => {
    edge = new SecureEdge(kafka.server.bootstrap)
    connects = 0
  })
  afterEach(() => edge.stop())
  afterAll(async () => {
    unsubscribe(CONNECTED, count)
    await kafka?.stop()
  })

  it('takes a new certificate of another authority on both sides, and the old connection goes on until both fit', async () => {
    const { clock, leap } = leapingClock()
    const one = createCertificate({ name: 'edge-a', issuer: kafka.authority })
    const tls = {
      caFile: ca,
      certFile: await file('edge.pem', one.cert),
      keyFile: await file('edge.key', one.key),
    }
    await edge.start(kafka.address('MUTUAL'), { tls }, { clock })
    await edge.replicate()
    expect(connects).toBe(1)

    const clients = createAuthority('New Clients')
    const servers = createAuthority('New Servers')
    const two = createCertificate({ name: 'edge-a', issuer: clients })
    const shown = createCertificate({ name: 'broker', names: NAMES, issuer: servers })
    await kafka.reloadCertificates('MUTUAL', shown, [clients])
    leap(A_MINUTE_MS)
    await edge.replicate()
    expect({ connects, lines: edge.lines }).toEqual({ connects: 1, lines: [] })

    await file('edge.pem', two.cert)
    await file('ca.pem', kafka.authority.cert + servers.cert)
    leap(A_MINUTE_MS)
    await until('the half that is new is noticed', async () => {
      await edge.replicate()
      leap(SOON_MS)
      return edge.lines.length > 0
    })
    expect(edge.lines[0]).toMatch(
      /goes on with its old credentials, .*edge\.key: it is not the key of the certificate/,
    )

    await file('edge.key', two.key)
    leap(A_MINUTE_MS)
    await until('it is replaced', async () => {
      await edge.replicate()
      return connects === 2
    })
    await until('that is told', () => edge.lines.length > 1)
    await edge.replicate()
    expect({ connects, lines: edge.lines.slice(1) }).toEqual({
      connects: 2,
      lines: ['upstream central uses its new credentials'],
    })
    expect(await edge.readBack()).toBeGreaterThan(300)
  })

  it('takes a new password, set on the edge first', async () => {
    const { clock, leap } = leapingClock()
    await kafka.setScramPassword('edge', 'SCRAM-SHA-256', 'first-password')
    const passwordFile = await file('password', 'first-password')
    const sasl = { mechanism: 'SCRAM-SHA-256', username: 'edge', passwordFile } as const
    await edge.start(kafka.address('SCRAM'), { sasl }, { clock })
    await edge.replicate()

    await file('password', 'second-password')
    leap(A_MINUTE_MS)
    await until('the cluster refuses it', async () => {
      await edge.replicate()
      leap(SOON_MS)
      return edge.lines.length > 0
    })
    expect(edge.lines[0]).toMatch(/goes on with its old credentials, .*wrong user or password/)
    await kafka.setScramPassword('edge', 'SCRAM-SHA-256', 'second-password')
    const before = connects
    leap(A_MINUTE_MS)
    await until('it is replaced', async () => {
      await edge.replicate()
      return connects > before
    })
    expect(await edge.readBack()).toBeGreaterThan(200)
    await until('that is told', () => edge.lines.length > 1)
    expect(edge.lines.filter((line) => !line.includes('old credentials'))).toEqual([
      'upstream central uses its new credentials',
    ])
    expect(edge.said()).not.toMatch(/(first|second)-password/)
  })

  it('lets a login last for two seconds, and the edge logs in again before, with a fresh token', async () => {
    const certificate = createCertificate({ name: 'tokens', names: ['127.0.0.1'], issuer: kafka.authority })
    const tokens = await startTokenServer(kafka.tokenKey, certificate, 'edge-client', 'client-secret')
    tokens.seconds = 6
    try {
      const oauth = {
        tokenEndpoint: tokens.url,
        clientId: 'edge-client',
        clientSecret: 'client-secret',
        caFile: ca,
        extensions: {},
      }
      await edge.start(kafka.address('OAUTH'), {
        tls: { caFile: ca },
        sasl: { mechanism: 'OAUTHBEARER', oauth },
      })
      // Each has four tenths of a second; where a machine that does much else is too late for one, Kafka ends the connection.
      let told = 0
      let from = connects
      await until('three more logins in a row, without a word', async () => {
        await edge.replicate()
        if (edge.lines.length > told) {
          told = edge.lines.length
          from = connects
        }
        return connects - from >= 3
      })
      expect(tokens.tokens.length).toBeGreaterThanOrEqual(2)
      await edge.readBack()
    } finally {
      await tokens.stop()
    }
  })
})
