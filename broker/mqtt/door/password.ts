/**
 * Passwords of MQTT users, kept as scrypt hashes (RFC 7914) in the usual text form:
 *
 *   $scrypt$ln=14,r=8,p=1$SALT$HASH       N = 2^ln; salt of 16 bytes and hash of 32 bytes in base64 without padding
 *
 * One check takes 16 MiB and some tens of ms on a Pi, on a thread of its own. After a power cut all clients of a site connect at once: at
 * most `CHECKS_AT_ONCE` run, and a password that was right is known again by a keyed hash that never leaves this process.
 */
import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt)

const LOG_N = 14
const R = 8
const P = 1
const SALT_BYTES = 16
const HASH_BYTES = 32
/** What a hash in a file may ask for: more would be a way to stop the broker. */
const LOG_N_MAX = 17
const R_MAX = 16
const P_MAX = 4
const CHECKS_AT_ONCE = 2
const CHECKS_WAITING_MAX = 2000
/** Passwords that were right and are known again. */
const KNOWN_MAX = 10_000

const TEXT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22,})\$([A-Za-z0-9+/]{43,})$/

interface Hash {
  readonly options: ScryptOptions
  readonly salt: Buffer
  readonly hash: Buffer
}

/** @returns the text that is kept */
export async function hashPassword(password: Buffer): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const hash = await derive(password, salt, HASH_BYTES, optionsOf(LOG_N, R, P))
  return `$scrypt$ln=${LOG_N},r=${R},p=${P}$${text(salt)}$${text(hash)}`
}

/** Whether it is a hash that this file can check. */
export function isPasswordHash(value: string): boolean {
  return parse(value) !== null
}

export class PasswordChecks {
  readonly #key = randomBytes(32)
  /** Keyed hashes of user's hash and password, of those that were right. */
  readonly #known = new Set<string>()
  readonly #waitingMax: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  /** @param waitingMax checks that wait; one more is told to come again */
  constructor(waitingMax = CHECKS_WAITING_MAX) {
    this.#waitingMax = waitingMax
  }

  /**
   * @param isWanted asked when its turn comes: a check for a client that has gone is not made, and is false
   * @returns null when too many wait
   */
  async isRight(
    kept: string,
    password: Buffer,
    isWanted: () => boolean = () => true,
  ): Promise<boolean | null> {
    const hash = parse(kept)
    if (hash === null) return false
    const known = createHmac('sha256', this.#key).update(kept).update('\0').update(password).digest('base64')
    if (this.#known.has(known)) return true
    if (this.#waiting.length >= this.#waitingMax) return null
    const isRight = await this.#alone(async () => {
      if (!isWanted()) return false
      const derived = await derive(password, hash.salt, hash.hash.length, hash.options)
      return timingSafeEqual(derived, hash.hash)
    })
    if (!isRight) return false
    if (this.#known.size >= KNOWN_MAX) this.#known.clear()
    this.#known.add(known)
    return true
  }

  /** Takes as long as a check: who asks is not told whether a user exists. */
  async pretend(password: Buffer, isWanted: () => boolean = () => true): Promise<boolean | null> {
    if (this.#waiting.length >= this.#waitingMax) return null
    await this.#alone(async () => {
      if (isWanted())
        await derive(password, this.#key.subarray(0, SALT_BYTES), HASH_BYTES, optionsOf(LOG_N, R, P))
    })
    return false
  }

  async #alone<T>(check: () => Promise<T>): Promise<T> {
    if (this.#running >= CHECKS_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running++
    try {
      return await check()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}

function parse(value: string): Hash | null {
  const match = TEXT.exec(value)
  if (match === null) return null
  const [logN, r, p] = match.slice(1, 4).map(Number) as [number, number, number]
  if (logN < 1 || logN > LOG_N_MAX || r < 1 || r > R_MAX || p < 1 || p > P_MAX) return null
  return {
    options: optionsOf(logN, r, p),
    salt: Buffer.from(match[4]!, 'base64'),
    hash: Buffer.from(match[5]!, 'base64'),
  }
}

function optionsOf(logN: number, r: number, p: number): ScryptOptions {
  const N = 2 ** logN
  return { N, r, p, maxmem: 256 * N * r }
}

function text(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
