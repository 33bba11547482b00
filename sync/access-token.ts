/**
 * An OAuth 2.0 access token by client credentials (RFC 6749, 4.4): fetched when the first connection needs it, kept in memory
 * alone, and fetched again once half of its life is over: a connection that it opens lives as long as what is left of it.
 */
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Clock } from './clock.ts'
import type { ReadClock } from './clock-reading.ts'
import { UpstreamSecretError, UpstreamTokenError } from './errors.ts'
import type { Secrets } from './secrets.ts'
import { readTlsFiles, type TlsMaterial } from './tls.ts'
import { type Explained, explainTls, isTlsCode } from './tls-faults.ts'

export interface TokenOptions {
  readonly tokenEndpoint: string
  readonly clientId: string
  readonly clientSecretFile?: string | undefined
  readonly clientSecretEnv?: string | undefined
  readonly clientSecret?: string | undefined
  readonly scope?: string | undefined
  readonly audience?: string | undefined
  readonly caFile?: string | undefined
}

export interface TokenDeps {
  readonly secrets: Secrets
  readonly clock: Clock
  readonly readClock: ReadClock
}

const ANSWER_MS_MAX = 10_000
const ANSWER_BYTES_MAX = 256 * 1024
/** Of its life a token is used. */
const USED_SHARE = 0.5
/** What an endpoint that names no life is taken to give. */
const LIFE_SECONDS_DEFAULT = 300
/** A token is fetched at most this often, however short it lives. */
const FETCH_MS_MIN = 1000

interface Token {
  readonly text: string
  /** Monotonic ms: a clock that is set does not make a token older. */
  readonly until: number
}

export class AccessTokens {
  readonly #options: TokenOptions
  readonly #deps: TokenDeps
  readonly #prefix: string
  #token: Token | null = null
  #fetching: Promise<Token> | null = null

  /** @param prefix of the fields in the configuration, such as "sasl.oauth" */
  constructor(options: TokenOptions, deps: TokenDeps, prefix: string) {
    this.#options = options
    this.#deps = deps
    this.#prefix = prefix
  }

  /** A token that still lives for half its life. @throws UpstreamTokenError, UpstreamSecretError */
  async token(): Promise<string> {
    if (this.#token !== null && this.#deps.clock.monotonic() < this.#token.until) return this.#token.text
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null
    })
    this.#token = await this.#fetching
    return this.#token.text
  }

  /** The token was refused: the next one is fetched. */
  drop(): void {
    this.#token = null
  }

  async #fetch(): Promise<Token> {
    const { tokenEndpoint, clientId, scope, audience, caFile } = this.#options
    const { secrets, clock } = this.#deps
    const { clientSecretFile: file, clientSecretEnv: variable, clientSecret: value } = this.#options
    const secret = await secrets.text({ field: `${this.#prefix}.clientSecret`, file, variable, value })
    const material = await readTlsFiles({ caFile }, secrets, this.#prefix)
    const form = new URLSearchParams({ grant_type: 'client_credentials' })
    if (scope !== undefined) form.set('scope', scope)
    if (audience !== undefined) form.set('audience', audience)
    const askedAt = clock.monotonic()
    const { status, body } = await this.#post(
      tokenEndpoint,
      basic(clientId, secret),
      form.toString(),
      material,
    )
    const answer = parse(body)
    const text = answer?.access_token
    if (status !== 200 || typeof text !== 'string' || text === '') throw this.#refused(status, answer)
    if (/[^\x21-\x7e]/.test(text)) throw this.#refused(status, { error: 'a token with spaces in it' })
    const seconds = Number(answer!.expires_in ?? LIFE_SECONDS_DEFAULT)
    const life = Number.isFinite(seconds) && seconds > 0 ? seconds : LIFE_SECONDS_DEFAULT
    return { text, until: askedAt + Math.max(FETCH_MS_MIN, life * 1000 * USED_SHARE) }
  }

  async #post(endpoint: string, authorization: string, body: string, material: TlsMaterial) {
    try {
      return await post(new URL(endpoint), authorization, body, material)
    } catch (error) {
      throw await this.#unreachable(error as Error & { code?: string }, material)
    }
  }

  #refused(status: number, answer: Record<string, unknown> | null): UpstreamTokenError {
    const { tokenEndpoint, clientId } = this.#options
    // The endpoint's own words, which RFC 6749 keeps to printable ASCII; never a part of the token or the secret.
    const word = (value: unknown) =>
      typeof value === 'string' ? value.replace(/[^\x20-\x7e]/g, '').slice(0, 200) : ''
    const words = [word(answer?.error), word(answer?.error_description)].filter(Boolean).join(', ')
    const said = words === '' ? '' : `: ${words}`
    if (status === 200)
      return new UpstreamTokenError(
        tokenEndpoint,
        `its answer has no token${said}`,
        `check ${this.#prefix}.tokenEndpoint`,
      )
    const hint =
      status === 400 || status === 401 || status === 403
        ? `check ${this.#prefix}.clientId, its secret and ${this.#prefix}.scope, and that the client may use client credentials`
        : `check ${this.#prefix}.tokenEndpoint; sync tries again by itself`
    return new UpstreamTokenError(
      tokenEndpoint,
      `it refused client ${clientId} (HTTP ${status}${said})`,
      hint,
    )
  }

  async #unreachable(error: Error & { code?: string }, material: TlsMaterial): Promise<Error> {
    const { tokenEndpoint, caFile } = this.#options
    const { hostname, port, protocol } = new URL(tokenEndpoint)
    const code = error.code ?? ''
    if (isTlsCode(code)) {
      const peer = {
        host: hostname.replace(/^\[(.*)\]$/, '$1'),
        port: Number(port || (protocol === 'https:' ? 443 : 80)),
      }
      const clock = this.#deps.readClock()
      const explained: Explained = await explainTls(error, {
        peer,
        files: { caFile },
        material,
        prefix: this.#prefix,
        clock,
      })
      return explained(`the token endpoint ${tokenEndpoint}`)
    }
    const hint = `check ${this.#prefix}.tokenEndpoint and the network; sync tries again by itself`
    return new UpstreamTokenError(
      tokenEndpoint,
      `it cannot be reached (${code || error.message})`,
      hint,
      error,
    )
  }
}

/** A token that something else keeps in a file. @throws UpstreamSecretError */
export async function readTokenFile(secrets: Secrets, field: string, file: string): Promise<string> {
  const text = await secrets.text({ field, file })
  if (/[^\x21-\x7e]/.test(text))
    throw new UpstreamSecretError(`${field}File ${file}`, 'it holds no token: there are spaces in it')
  return text
}

/** RFC 6749, 2.3.1: both parts are form-encoded first. */
function basic(clientId: string, secret: string): string {
  const encode = (text: string) => new URLSearchParams({ t: text }).toString().slice(2)
  return `Basic ${Buffer.from(`${encode(clientId)}:${encode(secret)}`).toString('base64')}`
}

function parse(body: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function post(
  url: URL,
  authorization: string,
  body: string,
  { ca }: TlsMaterial,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      timeout: ANSWER_MS_MAX,
      // A kept connection would outlive a change of the authority's file.
      agent: false as const,
      headers: {
        authorization,
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': Buffer.byteLength(body),
      },
    }
    const receive = (answer: IncomingMessage) => {
      const chunks: Buffer[] = []
      let bytes = 0
      answer.on('error', reject)
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > ANSWER_BYTES_MAX)
          answer.destroy(new Error(`its answer has more than ${ANSWER_BYTES_MAX} bytes`))
        else chunks.push(chunk)
      })
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      )
    }
    const asked =
      url.protocol === 'https:'
        ? requestHttps(url, { ...options, ...(ca === undefined ? {} : { ca }) }, receive)
        : requestHttp(url, options, receive)
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${ANSWER_MS_MAX} ms`)))
    asked.on('error', reject)
    asked.end(body)
  })
}
