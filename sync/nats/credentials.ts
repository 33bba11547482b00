/** What a connection to a server is opened with: TLS files and what logs this edge in, read anew each time. */
import type { Validity } from '../../broker/index.ts'
import type { NatsUpstreamConfig } from '../config.ts'
import { OwnTls, type OwnTlsDeps } from '../own-tls.ts'
import type { Secrets } from '../secrets.ts'
import { fingerprint, materialParts, type TlsMaterial } from '../tls.ts'
import type { TlsSituation } from '../tls-faults.ts'

export type Login =
  | { readonly kind: 'user'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'nkey'; readonly seed: Uint8Array }
  | { readonly kind: 'creds'; readonly creds: Uint8Array }

export interface Loaded {
  readonly login: Login | null
  readonly material: TlsMaterial
  /** Changes when a file does: a connection that was opened with others is replaced. */
  readonly fingerprint: string
}

export interface CredentialConfig {
  readonly tls?: NatsUpstreamConfig['tls'] | undefined
  readonly login?: NatsUpstreamConfig['login'] | undefined
}

export class Credentials {
  readonly #config: CredentialConfig
  readonly #deps: OwnTlsDeps
  readonly #tls: OwnTls

  constructor(config: CredentialConfig, deps: OwnTlsDeps) {
    this.#config = config
    this.#deps = deps
    this.#tls = new OwnTls(config.tls, deps)
  }

  get usesTls(): boolean {
    return this.#config.tls !== undefined
  }

  /** How long this device's certificate, as last read, is good; null where there is none. */
  get certificate(): Validity | null {
    return this.#tls.certificate
  }

  /** @throws UpstreamSecretError */
  async load(): Promise<Loaded> {
    const material = await this.#tls.read()
    const login = await readLogin(this.#config, this.#deps.secrets)
    return { login, material, fingerprint: fingerprint(...materialParts(material), ...loginParts(login)) }
  }

  /** For an error: what a connection to this address was tried with. */
  situation(host: string, port: number, material: TlsMaterial): TlsSituation {
    return this.#tls.situation({ host, port, speaksFirst: true }, material)
  }
}

/** @throws UpstreamSecretError */
async function readLogin({ login }: CredentialConfig, secrets: Secrets): Promise<Login | null> {
  if (login === undefined) return null
  const { user, nkeyFile, credsFile } = login
  if (credsFile !== undefined) {
    return { kind: 'creds', creds: await secrets.bytes('login.credsFile', credsFile, true) }
  }
  if (nkeyFile !== undefined) {
    const seed = await secrets.text({ field: 'login.nkey', file: nkeyFile })
    return { kind: 'nkey', seed: Buffer.from(seed.trim(), 'utf8') }
  }
  const { passwordFile, passwordEnv, password, tokenFile, tokenEnv, token } = login
  if (user !== undefined) {
    const place = { field: 'login.password', file: passwordFile, variable: passwordEnv, value: password }
    return { kind: 'user', user, password: await secrets.text(place) }
  }
  const place = { field: 'login.token', file: tokenFile, variable: tokenEnv, value: token }
  return { kind: 'token', token: await secrets.text(place) }
}

function loginParts(login: Login | null): readonly (Uint8Array | string)[] {
  switch (login?.kind) {
    case undefined:
      return []
    case 'user':
      return [login.user, login.password]
    case 'token':
      return [login.token]
    case 'nkey':
      return [login.seed]
    case 'creds':
      return [login.creds]
  }
}
