/** Real sockets and real TLS on this machine; nothing is sent on them but the handshake. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { KafkaUpstreamConfig, NatsUpstreamConfig, UpstreamConfig } from '../../../sync/config.ts'
import { examineLink } from '../../../sync/link/examine.ts'
import { type CertificateOptions, createAuthority, createCertificate } from '../../support/certificates.ts'

const DAY_MS = 86_400_000
const authority = createAuthority('plant')
const servers: Server[] = []
let directory: string
let caFile: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'headwater-examine-'))
  caFile = join(directory, 'ca.pem')
  await writeFile(caFile, authority.cert)
})
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})
afterAll(() => rm(directory, { recursive: true, force: true }))

async function listening(server: Server): Promise<string> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** @returns its address, and the bytes that clients sent it after the handshake */
async function tlsServer(options: Partial<CertificateOptions> = {}) {
  const certificate = createCertificate({
    name: 'kafka',
    names: ['127.0.0.1'],
    issuer: authority,
    ...options,
  })
  const heard: Buffer[] = []
  const server = createTlsServer({ cert: certificate.cert, key: certificate.key }, (socket) => {
    socket.on('data', (chunk) => heard.push(chunk)).on('error', () => {})
  })
  server.on('tlsClientError', () => {})
  return { address: await listening(server), heard }
}

function kafka(bootstrap: string[], tls?: object): UpstreamConfig {
  return { kind: 'kafka', name: 'central', bootstrap, tls } as unknown as KafkaUpstreamConfig
}

type Trust = 'synchronized' | 'untrusted'
const examined = (config: UpstreamConfig, now = Date.now(), trust: Trust = 'synchronized') =>
  examineLink(config, { env: {}, readClock: () => ({ now, trust, evidence: 'chrony' }), stepMsMax: 1500 })

test('a server that is there, one that is not, and a name that nobody knows', async () => {
  const open = await listening(createServer((socket) => socket.on('error', () => {})))
  const closed = await listening(createServer())
  servers.pop()!.close()
  const findings = await examined(kafka([open, closed, 'no-such-host.invalid:9092']))
  expect(findings).toMatchObject([
    { level: 'ok', what: `${open}: reached, without TLS`, todo: '' },
    { level: 'fault', what: `${closed}: nothing listens on that port` },
    { level: 'fault', what: 'no-such-host.invalid:9092: the name no-such-host.invalid is not known' },
  ])
})

test('a TLS handshake is made, and not a byte is sent after it', async () => {
  const { address, heard } = await tlsServer()
  const [finding] = await examined(kafka([address], { caFile }))
  expect(finding).toMatchObject({
    level: 'ok',
    what: expect.stringContaining(`${address}: reached, TLSv1.3`),
  })
  expect(heard).toEqual([])
})

test('a certificate that is about to expire over there is worth a word', async () => {
  const { address } = await tlsServer(yearUntil(10))
  expect(await examined(kafka([address], { caFile }))).toMatchObject([{ level: 'warning' }])
})

test('an expired certificate, one of another authority, and one for another name are told apart', async () => {
  const expired = await tlsServer({
    from: new Date(Date.now() - 20 * DAY_MS),
    until: new Date(Date.now() - DAY_MS),
  })
  const foreign = await tlsServer({ issuer: createAuthority('elsewhere') })
  const other = await tlsServer({ names: ['kafka.example.org'] })
  const findings = await examined(kafka([expired.address, foreign.address, other.address], { caFile }))
  expect(findings.map(({ level }) => level)).toEqual(['fault', 'fault', 'fault'])
  expect(findings[0]!.what).toMatch(/its certificate expired on/)
  expect(findings[1]!.what).toMatch(/from an authority .* that is not in/)
  expect(findings[2]!.what).toMatch(/not for 127\.0\.0\.1 but for kafka\.example\.org/)
})

test('a certificate that is not valid yet: the clock is doubted where nobody keeps it', async () => {
  const { address } = await tlsServer({ from: new Date(Date.now() + DAY_MS) })
  const doubted = await examined(kafka([address], { caFile }), Date.now(), 'untrusted')
  expect(doubted[0]!.what).toMatch(/clock/)
  const believed = await examined(kafka([address], { caFile }), Date.now(), 'synchronized')
  expect(believed[0]!.what).toMatch(/is valid only from/)
})

test('a port without TLS, which answers in plain text, or ends the connection', async () => {
  const answering = await listening(
    createServer((socket) => socket.on('error', () => {}).once('data', () => socket.write('-ERR what?\r\n'))),
  )
  const ending = await listening(
    createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end())),
  )
  const silent = await listening(createServer((socket) => socket.on('error', () => {}).resume()))
  const findings = await examined(kafka([answering, ending, silent], { caFile }))
  expect(findings.map(({ level }) => level)).toEqual(['fault', 'fault', 'fault'])
  expect(findings[0]!.what).toContain('does not speak TLS')
  expect(findings[1]!.what).toBe(`${ending}: it ends the connection at the TLS handshake`)
  expect(findings[2]!.what).toBe(`${silent}: no answer to the TLS handshake`)
})

test('NATS says a line first, and TLS begins after it', async () => {
  const { cert, key } = createCertificate({ name: 'nats', names: ['127.0.0.1'], issuer: authority })
  const address = await listening(
    createServer((socket) => {
      socket.on('error', () => {})
      socket.write('INFO {"tls_required":true}\r\n')
      new TLSSocket(socket, { isServer: true, cert, key }).on('error', () => {})
    }),
  )
  const config = { kind: 'nats', name: 'jetstream', servers: [address], tls: { caFile } }
  const [finding] = await examined(config as unknown as NatsUpstreamConfig)
  expect(finding).toMatchObject({ level: 'ok', what: expect.stringContaining('TLSv1.3') })
})

test('a TLS file that is not there is the one fault', async () => {
  const findings = await examined(kafka(['127.0.0.1:1'], { caFile: join(directory, 'none.pem') }))
  expect(findings).toMatchObject([{ level: 'fault', what: expect.stringContaining('none.pem') }])
})

test("this device's own certificate, when it is about to expire", async () => {
  const own = createCertificate({ name: 'pi', issuer: authority, ...yearUntil(5) })
  const [certFile, keyFile] = [join(directory, 'own.pem'), join(directory, 'own.key')]
  await writeFile(certFile, own.cert)
  await writeFile(keyFile, own.key, { mode: 0o600 })
  const { address } = await tlsServer()
  expect(await examined(kafka([address], { caFile, certFile, keyFile }))).toMatchObject([
    { level: 'warning', what: expect.stringContaining("this device's certificate") },
    { level: 'ok' },
  ])
})

test('an archive has no link', async () => {
  expect(
    await examined({ kind: 'archive', name: 'archive', directory: '/x' } as unknown as UpstreamConfig),
  ).toEqual([])
})

/** Of a certificate that was made for a year. */
function yearUntil(days: number) {
  const until = Date.now() + days * DAY_MS
  return { from: new Date(until - 365 * DAY_MS), until: new Date(until) }
}
