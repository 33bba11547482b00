/** A server that knows its users by JWT: operator, accounts and users as `nsc` makes them, and a user's credentials file. */
import { nkeys } from '@nats-io/transport-node'

type Pair = ReturnType<typeof nkeys.createUser>

const NO_LIMITS = {
  subs: -1,
  conn: -1,
  leaf: -1,
  imports: -1,
  exports: -1,
  data: -1,
  payload: -1,
  wildcards: true,
}
const JETSTREAM_LIMITS = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }

export interface JwtUser {
  /** The content of a credentials file. */
  readonly creds: string
  readonly seed: string
}

export class JwtAccounts {
  readonly #operator = nkeys.createOperator()
  readonly #system = nkeys.createAccount()
  readonly #accounts: readonly Pair[]

  /** @param count accounts with JetStream */
  constructor(count = 1) {
    this.#accounts = Array.from({ length: count }, () => nkeys.createAccount())
  }

  /** What stands in the server's configuration. */
  get config(): string {
    const operator = jwt(this.#operator, this.#operator, 'op', { type: 'operator', version: 2 })
    // The system account may not have JetStream.
    const preload = [...this.#accounts, this.#system].map((pair) => {
      const limits = pair === this.#system ? NO_LIMITS : { ...NO_LIMITS, ...JETSTREAM_LIMITS }
      const text = jwt(this.#operator, pair, 'acc', { limits, type: 'account', version: 2 })
      return `${pair.getPublicKey()}: "${text}"`
    })
    return `operator: "${operator}"
      system_account: ${this.#system.getPublicKey()}
      resolver: MEMORY
      resolver_preload: { ${preload.join('\n')} }`
  }

  /** @param until when the user expires, seconds since 1970 */
  user({ account = 0, until }: { account?: number; until?: number } = {}): JwtUser {
    const pair = nkeys.createUser()
    const limits = { subs: -1, data: -1, payload: -1 }
    const text = jwt(this.#accounts[account]!, pair, 'edge', { ...limits, type: 'user', version: 2 }, until)
    const seed = Buffer.from(pair.getSeed()).toString()
    const creds = [
      '-----BEGIN NATS USER JWT-----',
      text,
      '------END NATS USER JWT------',
      '',
      '-----BEGIN USER NKEY SEED-----',
      seed,
      '------END USER NKEY SEED------',
      '',
    ].join('\n')
    return { creds, seed }
  }
}

function jwt(
  issuer: Pair,
  subject: Pair,
  name: string,
  nats: Record<string, unknown>,
  until?: number,
): string {
  const text = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const claims = { jti: name, iat, iss: issuer.getPublicKey(), name, sub: subject.getPublicKey(), nats }
  const head = text({ typ: 'JWT', alg: 'ed25519-nkey' })
  const body = text(until === undefined ? claims : { ...claims, exp: until })
  const signature = issuer.sign(Buffer.from(`${head}.${body}`))
  return `${head}.${body}.${Buffer.from(signature).toString('base64url')}`
}
