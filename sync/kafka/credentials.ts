/** What a connection to a broker is opened with: TLS files and credentials, read anew each time. */

import type { ConnectionOptions } from '@platformatic/kafka'
import type { Validity } from '../../broker/index.ts'
import { AccessTokens, readTokenFile } from '../access-token.ts'
import type { Clock } from '../clock.ts'
import { unwatchedClock } from '../clock-reading.ts'
import type { SaslConfig, TlsConfig } from '../config/security.ts'
import { OwnTls, type OwnTlsDeps } from '../own-tls.ts'
import { serverNameOf } from '../peer-certificate.ts'
import { Secrets } from '../secrets.ts'
import { fingerprint, materialParts, type TlsMaterial } from '../tls.ts'
import type { TlsSituation } from '../tls-faults.ts'

export type SecurityOptions = Pick<ConnectionOptions, 'tls' | 'tlsServerName' | 'sasl'>

export interface Loaded {
  readonly material: TlsMaterial
  /** Changes when a file does: connections that were opened with others are replaced. */
  readonly fingerprint: string
}

export interface CredentialConfig {
  readonly tls?: TlsConfig | undefined
  readonly sasl?: SaslConfig | undefined
}

export class Credentials {
  readonly #config: CredentialConfig
  readonly #deps: OwnTlsDeps
  readonly #tls: OwnTls
  readonly #tokens: AccessTokens | null

  constructor(config: CredentialConfig, deps: OwnTlsDeps) {
    this.#config = config
    this.#deps = deps
    this.#tls = new OwnTls(config.tls, deps)
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

  /** How long this device's certificate, as last read, is good; null where there is none. */
  get certificate(): Validity | null {
    return this.#tls.certificate
  }

  /** Reads what the configuration names, but fetches no token. @throws UpstreamSecretError */
  async load(): Promise<Loaded & { readonly secret: string | null }> {
    const material = await this.#tls.read()
    const secret = await this.#readSecret(this.#config.sasl)
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
    return this.#tls.situation({ host, port }, material)
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
