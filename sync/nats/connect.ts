/** Connections to the servers of one upstream, and what is said when one does not come about. */
import { silentSink } from '../../broker/index.ts'
import { parseAddress } from '../address.ts'
import { systemClock } from '../clock.ts'
import { unwatchedClock } from '../clock-reading.ts'
import { isLoopback } from '../config/security-faults.ts'
import type { NatsUpstreamConfig } from '../config.ts'
import type { UpstreamDeps } from '../create.ts'
import { UpstreamAuthError, type UpstreamError } from '../errors.ts'
import { refusalAfterHandshake } from '../peer-certificate.ts'
import { Secrets } from '../secrets.ts'
import { explainTls, notTls } from '../tls-faults.ts'
import { Credentials, type Loaded } from './credentials.ts'
import { tlsCause } from './faults.ts'
import { type NatsFault, type NatsWire, NatsWireError } from './wire.ts'

const CONNECT_MS = 5000
/** Of several servers that fail, one that answered says more than one that is away. */
const ABSENT: ReadonlySet<NatsFault> = new Set(['unreachable', 'timeout'])

/** What connections of this upstream are opened with. */
export function createCredentials(
  { name, tls, login }: NatsUpstreamConfig,
  { clock = systemClock, env = process.env, sink = silentSink, readClock = unwatchedClock }: UpstreamDeps,
): Credentials {
  const who = `upstream ${name}`
  const secrets = new Secrets(env, sink, who)
  return new Credentials(
    { tls, login },
    { secrets, clock, readClock, warn: (line) => sink.warn(`${who}: ${line}`) },
  )
}

/**
 * A connection to one of the servers, as the configuration says, and its files say now.
 * @throws NatsWireError, UpstreamError
 */
export async function connectNats(
  config: NatsUpstreamConfig,
  clientName: string,
  deps: UpstreamDeps = {},
): Promise<NatsWire> {
  const credentials = createCredentials(config, deps)
  return openAny(config, clientName, credentials, await credentials.load(), deps.random)
}

/** @param random spreads many edges over the servers @throws NatsWireError, UpstreamError */
export async function openAny(
  config: NatsUpstreamConfig,
  clientName: string,
  credentials: Credentials,
  loaded: Loaded,
  random: () => number = Math.random,
): Promise<NatsWire> {
  const { openWire } = await import('./library-wire.ts')
  const { servers, ackMs, domain = null, inboxPrefix, tls } = config
  const { login, material } = loaded
  const wireTls = tls === undefined ? null : { ...material, servername: tls.serverName }
  const options = { clientName, connectMs: CONNECT_MS, requestMs: ackMs, domain, inboxPrefix, login }
  const first = Math.floor(random() * servers.length)
  let failure: { server: string; error: NatsWireError } | null = null
  for (let i = 0; i < servers.length; i++) {
    const server = servers[(first + i) % servers.length]!
    try {
      return await openWire({ ...options, server, tls: wireTls })
    } catch (error) {
      if (!(error instanceof NatsWireError)) throw error
      if (failure === null || ABSENT.has(failure.error.fault)) failure = { server, error }
    }
  }
  const { server, error } = failure!
  throw (await explain(server, error, credentials, loaded)) ?? error
}

async function explain(
  server: string,
  error: NatsWireError,
  credentials: Credentials,
  { login, material }: Loaded,
): Promise<UpstreamError | null> {
  const place = `NATS at ${server}`
  if (error.fault === 'auth')
    return new UpstreamAuthError(place, error.message, error, loginHint(login?.kind))
  const { host, port } = parseAddress(server)
  const situation = credentials.situation(host, port, material)
  if (error.fault === 'tls') {
    const cause = tlsCause(error)
    return (cause === null ? notTls(situation, error) : await explainTls(cause, situation))(place)
  }
  if (error.fault !== 'broken' || !credentials.usesTls) return null
  const refusal = await refusalAfterHandshake(situation.peer, material)
  const cause = refusal === null ? null : tlsCause(refusal)
  return cause === null ? null : (await explainTls(cause, situation))(place)
}

type LoginKind = NonNullable<Loaded['login']>['kind']

function loginHint(kind: LoginKind | undefined): string {
  const anew = 'it is read anew for each try'
  switch (kind) {
    case undefined:
      return 'add login to this upstream, or have the servers know the user of its certificate'
    case 'user':
      return `check login.user and its password, and that the servers know this user; ${anew}`
    case 'token':
      return `check login.token against the authorization of the servers; ${anew}`
    case 'nkey':
      return `have the servers know the public key of the seed in login.nkeyFile; ${anew}`
    case 'creds':
      return `check that the user in login.credsFile has not expired, nor been revoked, and that the servers know its account; ${anew}`
  }
}

/** What anybody on the way could read: a password and a token are sent as they are, the others sign. */
export function exposedSecret({ tls, login, servers }: NatsUpstreamConfig): string | null {
  if (tls !== undefined || login === undefined) return null
  if (login.nkeyFile !== undefined || login.credsFile !== undefined) return null
  if (servers.every((server) => isLoopback(parseAddress(server).host))) return null
  const what = login.user === undefined ? 'the token' : 'the password'
  return `without tls ${what} may be shown to everybody on the way - add tls`
}
