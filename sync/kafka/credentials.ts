/** What a connection to a broker is opened with: TLS files and credentials, read anew each time. */
import type { ConnectionOptions } from '@platformatic/kafka'
import { AccessTokens, readTokenFile } from '../access-token.ts'
import type { Clock } from '../clock.ts'
import { type ReadClock, timeText, unwatchedClock } from '../clock-reading.ts'
import type { SaslConfig, TlsConfig } from '../config/security.ts'
import { serverNameOf } from '../peer-certificate.ts'
import { Secrets } from '../secrets.ts'
import { fingerprint, materialParts, ownCertificate, readTlsFiles, type TlsMaterial } from '../tls.ts'
import type { TlsSituation } from '../tls-faults.ts'

export type SecurityOptions = Pick<ConnectionOptions, 'tls' | 'tlsServerName' | 'sasl'>

export interface Loaded {
  readonly material: TlsMaterial
  /** Changes when a file does: connections that were opened with others are replaced. */
  readonly fingerprint: string
}

export interface CredentialDeps {
  readonly secrets: Secrets
  readonly clock: Clock
  readonly readClock: ReadClock
  /** Takes a line for people, once a day, while this device's certificate is about to expire. */
  readonly warn?: ((line: string) => void) | undefined
}

/** Certificates are made for a year or so, and people read their logs by the week. */
const WARN_BEFORE_MS = 30 * 86_400_000
const WARN_EVERY_MS = 86_400_000

export interface CredentialConfig {
  readonly tls?: TlsConfig | undefined
  readonly sasl?: SaslConfig | undefined
}

export class Credentials {
  readonly #config: CredentialConfig
  readonly #deps: CredentialDeps
  readonly #tokens: AccessTokens | null
  #certificateUntil: number | null = null
  /** Monotonic. */
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(config: CredentialConfig, deps: CredentialDeps) {
    this.#config = config
    this.#deps = deps
    const oauth = config.sasl?.oauth
    const { tokenEndpoint, clientId } = oauth ?? {}
    this.#tokens =
      tokenEndpoint === undefined || clientId === undefined
        ? null
        : new AccessTokens({ ...oauth, tokenEndpoint, clientId }, deps, 'sasl.oauth')
  }

  get usesTls(): boolean {
    return this.#config.tls !== undefined
  }

  get mechanism(): string | null {
    return this.#config.sasl?.mechanism ?? null
  }

  /** When this device's certificate, as last read, expires, ms since 1970; null where there is none. */
  get certificateUntil(): number | null {
    return this.#certificateUntil
  }

  /** Reads what the configuration names, but fetches no token. @throws UpstreamSecretError */
  async load(): Promise<Loaded & { readonly secret: string | null }> {
    const { tls, sasl } = this.#config
    const { secrets } = this.#deps
    const material = tls === undefined ? {} : await readTlsFiles(tls, secrets)
    const own = ownCertificate(material)
    this.#certificateUntil = own === null ? null : Date.parse(own.validTo)
    this.#warnOfExpiry()
    const secret = await this.#readSecret(sasl)
    return { material, secret, fingerprint: fingerprint(...materialParts(material), secret ?? undefined) }
  }

  /** @throws UpstreamSecretError, UpstreamTokenError */
  async options(host: string): Promise<{ readonly loaded: Loaded; readonly options: SecurityOptions }> {
    const { tls, sasl } = this.#config
    const { secret, ...loaded } = await this.load()
    const options: SecurityOptions = {}
    if (tls !== undefined) {
      options.tls = { ...loaded.material }
      const name = serverNameOf({ host, port: 0, serverName: tls.serverName })
      if (name !== undefined) options.tlsServerName = name
    }
    if (sasl?.mechanism === 'OAUTHBEARER') {
      const token = secret ?? (await this.#tokens!.token())
      const { extensions = {} } = sasl.oauth ?? {}
      options.sasl = {
        mechanism: sasl.mechanism,
        token,
        oauthBearerExtensions: { ...extensions },
        authBytesValidator: tokenTaken,
      }
    } else if (sasl !== undefined) {
      options.sasl = { mechanism: sasl.mechanism, username: sasl.username!, password: secret! }
    }
    return { loaded, options }
  }

  /** The cluster refused to let this edge in. */
  refused(): void {
    this.#tokens?.drop()
  }

  /** For an error: what a connection to this address was tried with. */
  situation(host: string, port: number, material: TlsMaterial): TlsSituation {
    const files = this.#config.tls ?? {}
    const peer = { host, port, serverName: files.serverName }
    return { peer, files, material, prefix: 'tls', clock: this.#deps.readClock() }
  }

  #warnOfExpiry(): void {
    const { warn, clock, readClock } = this.#deps
    const until = this.#certificateUntil
    const { now } = readClock()
    if (warn === undefined || until === null || until - now > WARN_BEFORE_MS) return
    if (clock.monotonic() - this.#warnedAt < WARN_EVERY_MS) return
    this.#warnedAt = clock.monotonic()
    const days = Math.floor((until - now) / 86_400_000)
    const when = days < 0 ? 'expired' : `expires in ${days} ${days === 1 ? 'day' : 'days'},`
    const { certFile, keyFile } = this.#config.tls!
    warn(
      `this device's certificate ${when} on ${timeText(until)} - put a new one into ${certFile} and its key into ${keyFile}; no restart is needed`,
    )
  }

  async #readSecret(sasl: SaslConfig | undefined): Promise<string | null> {
    if (sasl === undefined) return null
    const { secrets } = this.#deps
    if (sasl.mechanism !== 'OAUTHBEARER') {
      const { passwordFile: file, passwordEnv: variable, password: value } = sasl
      return secrets.text({ field: 'sasl.password', file, variable, value })
    }
    const file = sasl.oauth?.tokenFile
    return file === undefined ? null : readTokenFile(secrets, 'sasl.oauth.token', file)
  }
}

/** Connections that are not encrypted, and ask for no login. */
export function noCredentials(clock: Clock): Credentials {
  const secrets = new Secrets({}, null, '')
  return new Credentials({}, { secrets, clock, readClock: unwatchedClock })
}

/** RFC 7628, 3.2.2: a token that is refused is answered with JSON that says why, not with an error. */
function tokenTaken(answer: Buffer, done: (error: Error | null, answer: Buffer) => void): void {
  if (answer.length === 0) {
    done(null, answer)
    return
  }
  let status = ''
  try {
    status = String((JSON.parse(answer.toString('utf8')) as { status?: unknown }).status ?? '')
  } catch {}
  const known = /^[a-z_]{1,40}$/.test(status) ? status : 'no reason given'
  done(new Error(`the token was refused (${known})`), answer)
}
