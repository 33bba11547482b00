/**
 * Passwords of MQTT users, kept as scrypt hashes (RFC 7914) in the usual text form:
 *
 *   $scrypt$ln=14,r=8,p=1$SALT$HASH       N = 2^ln; salt of 16 bytes and hash of 32 bytes in base64 without padding
 *
 * One check takes 128 * N * r bytes, 16 MiB, and some tens of ms on a Pi, on a thread of its own. After a power cut all clients of a site connect at
 * once: at most `CHECKS_AT_ONCE` run, and no second one beyond `CHECKS_BYTES_MAX`; clients that come with the same name and password share one;
 * and a password that was right is known again by a keyed hash that never leaves this process.
 */
import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

export type Derive = (
  password: Buffer,
  salt: Buffer,
  bytes: number,
  options: ScryptOptions,
) => Promise<Buffer>

const derive: Derive = promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt)

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
/** What the checks that run may take together; one alone may take more. */
const CHECKS_BYTES_MAX = 32 * 1024 * 1024
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

/** A check that waits or runs, and who wants to know. */
interface Check {
  readonly result: Promise<boolean>
  readonly wanted: (() => boolean)[]
}

interface Turn {
  readonly bytes: number
  readonly begin: () => void
}

export class PasswordChecks {
  readonly #derive: Derive
  readonly #key = randomBytes(32)
  /** Keyed hashes of user's hash and password, of those that were right. */
  readonly #known = new Set<string>()
  /** By such a hash: those that are not done. */
  readonly #checks = new Map<string, Check>()
  readonly #waitingMax: number
  #running = 0
  #runningBytes = 0
  readonly #waiting: Turn[] = []

  /** @param waitingMax checks that wait; one more is told to come again */
  constructor(waitingMax = CHECKS_WAITING_MAX, deriveKey: Derive = derive) {
    this.#waitingMax = waitingMax
    this.#derive = deriveKey
  }

  /**
   * @param isWanted asked when its turn comes: a check for clients that have all gone is not made, and is false
   * @returns null when too many wait
   */
  async isRight(
    kept: string,
    password: Buffer,
    isWanted: () => boolean = () => true,
  ): Promise<boolean | null> {
    const hash = parse(kept)
    if (hash === null) return false
    const name = this.#nameOf('user', kept, password)
    if (this.#known.has(name)) return true
    const isRight = await this.#shared(name, hash, password, isWanted)
    if (isRight !== true || this.#known.has(name)) return isRight
    if (this.#known.size >= KNOWN_MAX) this.#known.clear()
    this.#known.add(name)
    return true
  }

  /** Takes as long as a check: who asks is not told whether there is such a user. */
  async pretend(
    username: string,
    password: Buffer,
    isWanted: () => boolean = () => true,
  ): Promise<boolean | null> {
    const hash = {
      options: optionsOf(LOG_N, R, P),
      salt: this.#key.subarray(0, SALT_BYTES),
      hash: Buffer.alloc(HASH_BYTES),
    }
    const name = this.#nameOf('nobody', username, password)
    return (await this.#shared(name, hash, password, isWanted)) === null ? null : false
  }

  #nameOf(kind: 'user' | 'nobody', of: string, password: Buffer): string {
    const hmac = createHmac('sha256', this.#key).update(`${kind}\0${of}\0`)
    return hmac.update(password).digest('base64')
  }

  /** @returns null when too many wait */
  async #shared(
    name: string,
    hash: Hash,
    password: Buffer,
    isWanted: () => boolean,
  ): Promise<boolean | null> {
    const under = this.#checks.get(name)
    if (under !== undefined) {
      under.wanted.push(isWanted)
      return under.result
    }
    if (this.#waiting.length >= this.#waitingMax) return null
    const wanted = [isWanted]
    const result = this.#check(hash, password, wanted)
    this.#checks.set(name, { result, wanted })
    try {
      return await result
    } finally {
      this.#checks.delete(name)
    }
  }

  async #check({ options, salt, hash }: Hash, password: Buffer, wanted: (() => boolean)[]): Promise<boolean> {
    const bytes = 128 * options.N! * options.r!
    await this.#turn(bytes)
    try {
      if (!wanted.some((isWanted) => isWanted())) return false
      return timingSafeEqual(await this.#derive(password, salt, hash.length, options), hash)
    } finally {
      this.#running--
      this.#runningBytes -= bytes
      this.#letIn()
    }
  }

  /** In the order in which they came. */
  #turn(bytes: number): Promise<void> {
    const begun = new Promise<void>((begin) => this.#waiting.push({ bytes, begin }))
    this.#letIn()
    return begun
  }

  #letIn(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { bytes, begin } = next
      const isFull = this.#running >= CHECKS_AT_ONCE || this.#runningBytes + bytes > CHECKS_BYTES_MAX
      if (this.#running > 0 && isFull) return
      this.#waiting.shift()
      this.#running++
      this.#runningBytes += bytes
      begin()
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
