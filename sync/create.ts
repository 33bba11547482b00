/** From configuration to a running replicator. Kafka's client is loaded by the first upstream that needs it. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type LogSink, type LogSource, unreachable } from '../broker/index.ts'
import { ArchiveUpstream } from './archive/archive-upstream.ts'
import type { CheckpointCache } from './checkpoint.ts'
import { type Clock, systemClock } from './clock.ts'
import type { KafkaUpstreamConfig, UpstreamConfig } from './config.ts'
import { UpstreamConfigError, UpstreamSecretError } from './errors.ts'
import { Replicator } from './replicator.ts'
import type { Upstream } from './upstream.ts'

const ROUND_BYTES_MIN = 16 * 1024
/** A round that takes longer is too large for its link. */
const ROUND_MS_TARGET = 2000
const CONNECT_MS = 5000

export interface UpstreamDeps {
  readonly clock?: Clock
  readonly env?: NodeJS.ProcessEnv
}

export interface ReplicatorWiring extends UpstreamDeps {
  readonly log: LogSource
  readonly cache: CheckpointCache
  readonly sink: LogSink
  /** From [0, 1). */
  readonly random?: () => number
}

/** @throws UpstreamConfigError for what a schema cannot say */
export async function createReplicator(
  config: UpstreamConfig,
  wiring: ReplicatorWiring,
): Promise<Replicator> {
  const { log, cache, sink, random = Math.random, clock = systemClock } = wiring
  const upstream = await createUpstream(config, wiring)
  const round = { ...config.round, bytesMin: ROUND_BYTES_MIN, msTarget: ROUND_MS_TARGET }
  return new Replicator({ round, backoff: config.backoff }, { log, upstream, cache, sink, clock, random })
}

/** @throws UpstreamConfigError for what a schema cannot say */
export async function createUpstream(config: UpstreamConfig, deps: UpstreamDeps = {}): Promise<Upstream> {
  const [fault] = upstreamFaults(config)
  if (fault !== undefined) throw new UpstreamConfigError(config.name, fault.message, fault.hint)
  switch (config.kind) {
    case 'archive':
      return new ArchiveUpstream(config, { randomUuid: randomUUID })
    case 'kafka':
      return createKafka(config, deps)
    default:
      return unreachable(config)
  }
}

/** What is wrong with an entry that its schema lets through; `path` is below the entry. */
export function upstreamFaults(
  config: UpstreamConfig,
): { readonly path: readonly string[]; readonly message: string; readonly hint: string }[] {
  if (config.kind !== 'kafka') return []
  const faults: { path: string[]; message: string; hint: string }[] = []
  const { sasl, tls, backoff } = config
  if (sasl !== undefined) {
    const { passwordFile, passwordEnv, password } = sasl
    const given = [passwordFile, passwordEnv, password].filter((value) => value !== undefined).length
    const message = given === 0 ? 'there is no password' : 'the password is given more than once'
    const hint = 'give one of passwordFile, passwordEnv and password'
    if (given !== 1) faults.push({ path: ['sasl'], message, hint })
  }
  if (tls !== undefined && (tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    const hint = 'give both certFile and keyFile, or none'
    faults.push({ path: ['tls'], message: 'a certificate and its key belong together', hint })
  }
  if (backoff.firstMs > backoff.msMax) {
    const hint = 'raise backoff.msMax'
    faults.push({ path: ['backoff'], message: 'firstMs is more than msMax', hint })
  }
  return faults
}

async function createKafka(config: KafkaUpstreamConfig, deps: UpstreamDeps): Promise<Upstream> {
  const { KafkaUpstream } = await import('./kafka/kafka-upstream.ts')
  const { clock = systemClock, env = process.env } = deps
  const bootstrap = config.bootstrap.map(parseAddress)
  const openWire = async () => {
    const wire = await import('./kafka/platformatic-wire.ts')
    const tls = await readTls(config)
    const password = await readPassword(config, env)
    return wire.openWire({
      clientId: 'headwater',
      bootstrap,
      connectMs: CONNECT_MS,
      requestMs: config.transactionTimeoutMs,
      ...(tls === null ? {} : { tls }),
      ...(config.tls?.serverName === undefined ? {} : { tlsServerName: config.tls.serverName }),
      ...(config.sasl === undefined || password === null
        ? {}
        : { sasl: { mechanism: config.sasl.mechanism, username: config.sasl.username, password } }),
    })
  }
  return new KafkaUpstream({ ...config, bootstrap: config.bootstrap.join(',') }, { clock, openWire })
}

function parseAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { host, port: Number(address.slice(colon + 1)) }
}

async function readTls({ tls }: KafkaUpstreamConfig) {
  if (tls === undefined) return null
  const read = (field: string, path: string | undefined) =>
    path === undefined ? undefined : readSecret(`tls.${field} ${path}`, path)
  const [ca, cert, key] = await Promise.all([
    read('caFile', tls.caFile),
    read('certFile', tls.certFile),
    read('keyFile', tls.keyFile),
  ])
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  }
}

async function readPassword({ sasl }: KafkaUpstreamConfig, env: NodeJS.ProcessEnv): Promise<string | null> {
  if (sasl === undefined) return null
  const { password, passwordEnv, passwordFile } = sasl
  if (password !== undefined) return password
  if (passwordEnv !== undefined) {
    const value = env[passwordEnv]
    if (value === undefined || value === '') {
      throw new UpstreamSecretError(`sasl.passwordEnv ${passwordEnv}`, 'the environment has no such variable')
    }
    return value
  }
  const text = await readSecret(`sasl.passwordFile ${passwordFile!}`, passwordFile!)
  return text.toString('utf8').replace(/\r?\n$/, '')
}

async function readSecret(field: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`
    throw new UpstreamSecretError(field, reason, cause)
  }
}
