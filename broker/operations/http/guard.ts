/**
 * Who may ask what over HTTP.
 *
 *     open    anybody: /health, the page's files, the description of the API
 *     status  how the broker is: no records, no tables, no clients, no actions
 *     full    all of it
 *
 *     with http.tokenFile      the token gives full, without it open
 *     without it, this machine full; status once users or permissions are configured: what MQTT denies a client without a name, a port must
 *                              not give it
 *     without it, another one  open (it does not get here: the configuration listens on the loopback alone)
 *
 * A browser is asked by pages of others to ask us. A page that has its own name lead here (DNS rebinding) is told by `Host`, one that sends a form or a
 * request across by `Origin`, and one that only loads what is ours (it cannot read it, but it can keep all streams busy) by what its browser says in
 * `Sec-Fetch-Site`. A link to the page is followed. Who shows the token is no such page.
 */
import { isIP } from 'node:net'
import { LimitedLog } from '../../limited-log.ts'
import type { LogSink } from '../../log-sink.ts'
import { countedAddress, isLocal } from '../../mqtt/door/counted-address.ts'
import { digestOf } from './digest.ts'
import { HttpLimitError, HttpRefusedError, UnauthorizedError } from './errors.ts'
import { FailedTokens } from './failed-tokens.ts'
import type { TokenFile } from './token-file.ts'

export type Access = 'open' | 'status' | 'full'

/** What a request says of who sends it. */
export interface Asker {
  readonly address: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface GuardParts {
  /** null: without a token this machine alone is answered. */
  readonly token: Pick<TokenFile, 'isRight'> | null
  /** Names besides localhost and addresses, in lower case. */
  readonly hosts: readonly string[]
  /** Users or permissions are configured. */
  isGuarded(): boolean
  readonly log: LogSink
  /** ms, by a clock that nobody sets */
  monotonic(): number
}

const RANK: Readonly<Record<Access, number>> = { open: 0, status: 1, full: 2 }
/** A proxy says so: who asks is not on this machine, though the proxy is. */
const FORWARDED = /^(?:forwarded|x-forwarded(?:-.*)?|x-real-ip|x-client-ip|x-original-.*|via)$/
const HOW = 'send it as `Authorization: Bearer TOKEN`'

export class Guard {
  readonly #parts: GuardParts
  readonly #hosts: ReadonlySet<string>
  readonly #failed: FailedTokens
  readonly #limited: LimitedLog

  constructor(parts: GuardParts) {
    this.#parts = parts
    this.#hosts = new Set(parts.hosts)
    this.#failed = new FailedTokens(() => parts.monotonic())
    this.#limited = new LimitedLog(parts.log)
  }

  /** @returns what this request may ask @throws HttpRefusedError, HttpLimitError */
  async granted(asker: Asker): Promise<Access> {
    const access = await this.#accessOf(asker)
    const showsToken = this.#parts.token !== null && access === 'full'
    if (!showsToken) {
      this.#checkOrigin(asker)
      this.#checkHost(asker)
    }
    return access
  }

  /** @throws UnauthorizedError */
  check(needed: Access, granted: Access, asker: Asker): void {
    if (RANK[granted] >= RANK[needed]) return
    if (this.#parts.token !== null) {
      const isGiven = bearerOf(asker) !== null
      const text = isGiven ? 'the token is wrong' : 'this takes the token of http.tokenFile'
      throw new UnauthorizedError(text, isGiven ? 'see the file that http.tokenFile names' : HOW)
    }
    const way = `name a file with a token in http.tokenFile, restart, and ${HOW}`
    if (granted === 'open') {
      throw new UnauthorizedError(
        'without a token this machine alone is answered, and nothing that a proxy forwards',
        way,
      )
    }
    throw new UnauthorizedError(
      'there are users or permissions, so this takes more than to be on this machine: a token',
      way,
    )
  }

  async #accessOf(asker: Asker): Promise<Access> {
    const { token, isGuarded } = this.#parts
    if (token === null) {
      if (!isLocal(asker.address) || Object.keys(asker.headers).some((name) => FORWARDED.test(name)))
        return 'open'
      return isGuarded() ? 'status' : 'full'
    }
    const given = bearerOf(asker)
    if (given === null) return 'open'
    const address = countedAddress(asker.address)
    const digest = digestOf(given).toString('base64')
    if (!this.#failed.mayTry(address, digest)) {
      throw new HttpLimitError('too many wrong tokens came from this address', 'wait a minute')
    }
    if (await token.isRight(given)) {
      this.#failed.succeeded(address, digest)
      return 'full'
    }
    this.#failed.failed(address, digest)
    this.#limited.warn('token', 'an HTTP request had a wrong token', { from: asker.address })
    return 'open'
  }

  #checkHost({ headers }: Asker): void {
    const host = hostNameOf(String(headers.host ?? ''))
    if (host !== null && (isOwn(host) || this.#hosts.has(host))) return
    const name = host ?? 'what its Host header says'
    this.#limited.warn('host', 'an HTTP request was refused', { reason: `its Host is ${name}` })
    throw new HttpRefusedError(
      `this broker is not called ${name}`,
      'use its address in numbers, or add the name to http.allowedHosts',
    )
  }

  #checkOrigin({ headers }: Asker): void {
    const { origin, host } = headers
    if (origin === undefined) {
      if (!isLoadedElsewhere(headers)) return
    } else if (origin === `http://${host}` || origin === `https://${host}`) return
    const reason = origin === undefined ? "another site's page loads it" : `its Origin is ${origin}`
    this.#limited.warn('origin', 'an HTTP request was refused', { reason })
    throw new HttpRefusedError('another page asked for this', 'ask from the page of the broker itself')
  }
}

function bearerOf({ headers: { authorization } }: Asker): string | null {
  const [, token] = /^Bearer +([\x21-\x7e]{1,4096})$/i.exec(String(authorization ?? '')) ?? []
  return token ?? null
}

/** As an image, a script, a frame of another site's page; not by a person who follows a link. */
function isLoadedElsewhere(headers: Asker['headers']): boolean {
  const site = headers['sec-fetch-site']
  if (site !== 'cross-site' && site !== 'same-site') return false
  return headers['sec-fetch-dest'] !== 'document'
}

/** @returns in lower case, without the port; null where it is none */
function hostNameOf(host: string): string | null {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{1,5})?$/i.exec(host) ?? []
  return (bracketed ?? plain ?? null)?.toLowerCase() ?? null
}

/** Names that nobody else can have lead here. */
function isOwn(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || isIP(host) !== 0
}
