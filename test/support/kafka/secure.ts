/**
 * A broker with a listener for each way in: TLS, mutual TLS, and all SASL mechanisms that an edge can use. Keys and certificates are
 * PEM files, which a test can replace while the broker runs (`reloadCertificates`).
 *
 *   TLS        SSL              anybody who trusts the authority
 *   MUTUAL     SSL              clients with a certificate of an authority in clients.pem
 *   SCRAM_TLS  SASL_SSL         SCRAM-SHA-512
 *   SCRAM      SASL_PLAINTEXT   SCRAM-SHA-256
 *   PLAIN      SASL_SSL         PLAIN: user edge
 *   OAUTH      SASL_SSL         OAUTHBEARER: tokens signed by `tokenKey`
 */
import { generateKeyPairSync, type KeyObject, pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import {
  alterUserScramCredentialsV0,
  Connection,
  type ConnectionOptions,
  incrementalAlterConfigsV1,
} from '@platformatic/kafka'
import { type Certificate, createAuthority, createCertificate } from '../certificates.ts'
import { type ExtraListener, NETWORK_THREADS } from './properties.ts'
import { type KafkaServer, startKafka } from './server.ts'

export type SecureListener = 'TLS' | 'MUTUAL' | 'SCRAM_TLS' | 'SCRAM' | 'PLAIN' | 'OAUTH'

export interface SecureKafka {
  readonly server: KafkaServer
  /** host:port; the host is 127.0.0.1. */
  address(listener: SecureListener): string
  /** Where test files can be put; gone with the broker. */
  readonly directory: string
  readonly authority: Certificate
  readonly tokenKey: KeyObject
  setScramPassword(
    user: string,
    mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512',
    password: string,
  ): Promise<void>
  /** Changes what a listener shows, and whom it trusts, for connections from now on. */
  reloadCertificates(
    listener: SecureListener,
    server: Certificate,
    clientAuthorities: readonly Certificate[],
  ): Promise<void>
  stop(): Promise<void>
}

export interface SecureOptions {
  /** The certificate that the broker shows; one for 127.0.0.1 and localhost without. */
  readonly certificate?: (authority: Certificate) => Certificate
  /** A login at the listener OAUTH is good for this long. */
  readonly loginMsMax?: number
  readonly plainPassword: string
}

const CHANGED_MS_MAX = 10_000
const ITERATIONS = 4096
const BROKER_RESOURCE = 4
const SET = 0
const MODULE = 'org.apache.kafka.common.security'

export async function startSecureKafka(options: SecureOptions): Promise<SecureKafka> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-secure-'))
  const authority = createAuthority('Test Authority')
  const shown =
    options.certificate?.(authority) ??
    createCertificate({ name: 'broker', names: ['127.0.0.1', 'localhost'], issuer: authority })
  let version = 1
  await writeStores(directory, version, shown, [authority])
  const { privateKey: tokenKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keys = join(directory, 'jwks.json')
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'test', use: 'sig', alg: 'RS256' }
  await writeFile(keys, JSON.stringify({ keys: [jwk] }))
  const keysUrl = `file://${keys}`
  let server: KafkaServer
  try {
    server = await startKafka({
      listeners: listeners(directory, keysUrl, options),
      jvmFlags: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${keysUrl}`],
    })
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    throw error
  }
  return {
    server,
    directory,
    authority,
    tokenKey,
    address: (listener) => server.listeners[listener]!,
    async setScramPassword(user, mechanism, password) {
      await setScram(server, user, mechanism, password)
      const listener = mechanism === 'SCRAM-SHA-256' ? 'SCRAM' : 'SCRAM_TLS'
      const login = { tls: { ca: authority.cert }, sasl: { mechanism, username: user, password } }
      const options = listener === 'SCRAM' ? { sasl: login.sasl } : login
      await until(`${user} can log in`, () => letsIn(server.listeners[listener]!, options))
    },
    async reloadCertificates(listener, certificate, clientAuthorities) {
      version++
      await writeStores(directory, version, certificate, clientAuthorities)
      await useStores(server, listener, directory, version)
      await until(`${listener} shows its new certificate`, () =>
        showsAlways(server.listeners[listener]!, certificate.x509.fingerprint256),
      )
    },
    async stop() {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Each change has files of its own: Kafka may not look at those that it has. */
function storePaths(directory: string, version: number) {
  return {
    shown: join(directory, `broker-${version}.pem`),
    clients: join(directory, `clients-${version}.pem`),
  }
}

async function writeStores(
  directory: string,
  version: number,
  shown: Certificate,
  clients: readonly Certificate[],
): Promise<void> {
  const paths = storePaths(directory, version)
  await writeFile(paths.shown, shown.key + shown.cert)
  await writeFile(paths.clients, clients.map(({ cert }) => cert).join(''))
}

function stores(directory: string, version: number): Record<string, string> {
  const { shown, clients } = storePaths(directory, version)
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': shown,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': clients,
  }
}

function listeners(directory: string, keysUrl: string, options: SecureOptions): ExtraListener[] {
  const tls = stores(directory, 1)
  const limit =
    options.loginMsMax === undefined ? {} : { 'connections.max.reauth.ms': String(options.loginMsMax) }
  const sasl = (mechanism: string, module: string, more: Record<string, string> = {}) => {
    const own = { 'sasl.jaas.config': module, ...more }
    const prefixed = Object.entries(own).map(([key, value]) => [`${mechanism.toLowerCase()}.${key}`, value])
    return { 'sasl.enabled.mechanisms': mechanism, ...Object.fromEntries(prefixed) }
  }
  const scram = `${MODULE}.scram.ScramLoginModule required;`
  const plain = `${MODULE}.plain.PlainLoginModule required user_edge="${options.plainPassword}";`
  const oauth = sasl('OAUTHBEARER', `${MODULE}.oauthbearer.OAuthBearerLoginModule required;`, {
    'sasl.server.callback.handler.class': `${MODULE}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
  })
  const token = {
    'sasl.oauthbearer.jwks.endpoint.url': keysUrl,
    'sasl.oauthbearer.expected.audience': 'kafka',
    'sasl.oauthbearer.expected.issuer': 'https://issuer.test',
  }
  return [
    { name: 'TLS', protocol: 'SSL', properties: tls },
    { name: 'MUTUAL', protocol: 'SSL', properties: { ...tls, 'ssl.client.auth': 'required' } },
    { name: 'SCRAM_TLS', protocol: 'SASL_SSL', properties: { ...tls, ...sasl('SCRAM-SHA-512', scram) } },
    { name: 'SCRAM', protocol: 'SASL_PLAINTEXT', properties: sasl('SCRAM-SHA-256', scram) },
    { name: 'PLAIN', protocol: 'SASL_SSL', properties: { ...tls, ...sasl('PLAIN', plain) } },
    { name: 'OAUTH', protocol: 'SASL_SSL', properties: { ...tls, ...token, ...oauth, ...limit } },
  ]
}

async function ask<T>(server: KafkaServer, work: (connection: Connection) => Promise<T>): Promise<T> {
  const [host, port] = server.bootstrap.split(':')
  const connection = new Connection('test-admin', { context: 'test' })
  await connection.connect(host!, Number(port))
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

async function setScram(
  server: KafkaServer,
  name: string,
  mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512',
  password: string,
): Promise<void> {
  const salt = randomBytes(24)
  const [code, bytes, hash] = mechanism === 'SCRAM-SHA-256' ? [1, 32, 'sha256'] : [2, 64, 'sha512']
  const saltedPassword = pbkdf2Sync(password, salt, ITERATIONS, bytes as number, hash as string)
  const upsertion = { name, mechanism: code as number, iterations: ITERATIONS, salt, saltedPassword }
  await ask(server, (connection) =>
    alterUserScramCredentialsV0.api.async(connection, [], [upsertion as never]),
  )
}

async function useStores(
  server: KafkaServer,
  listener: SecureListener,
  directory: string,
  version: number,
): Promise<void> {
  const configs = Object.entries(stores(directory, version)).map(([key, value]) => ({
    name: `listener.name.${listener.toLowerCase()}.${key}`,
    configOperation: SET,
    value,
  }))
  const resource = { resourceType: BROKER_RESOURCE, resourceName: '1', configs }
  await ask(server, (connection) =>
    incrementalAlterConfigsV1.api.async(connection, [resource as never], false),
  )
}

// A change of configuration is acknowledged before the broker acts on it.

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + CHANGED_MS_MAX
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`not within ${CHANGED_MS_MAX} ms: ${what}`)
    await sleep(10)
  }
}

async function letsIn(address: string, options: ConnectionOptions): Promise<boolean> {
  const [host, port] = address.split(':')
  const connection = new Connection('test-login', { ...options, context: 'test' })
  connection.on('error', () => {})
  try {
    await connection.connect(host!, Number(port))
    return true
  } catch {
    return false
  } finally {
    await connection.close()
  }
}

/**
 * Each network thread of a listener takes new stores by itself, up to half a second apart: until the last has, connections in turn
 * get the new certificate, and the old one with the old truststore. Twice around, since others connect, too.
 */
async function showsAlways(address: string, fingerprint: string): Promise<boolean> {
  for (let i = 0; i < 2 * NETWORK_THREADS; i++) if ((await shownBy(address)) !== fingerprint) return false
  return true
}

/** @returns the fingerprint of the certificate that a listener shows */
function shownBy(address: string): Promise<string | null> {
  const [host, port] = address.split(':')
  return new Promise((resolve) => {
    const socket = connect({ host: host!, port: Number(port), rejectUnauthorized: false })
    socket.once('error', () => resolve(null))
    socket.once('secureConnect', () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? null)
      socket.destroy()
    })
  })
}
