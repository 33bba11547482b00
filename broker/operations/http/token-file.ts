/**
 * The token of `http.tokenFile`: one line. It is read again once a second at most, when somebody asks, so a new one counts without a restart;
 * while the file cannot be used the last one counts.
 */
import { timingSafeEqual } from 'node:crypto'
import { LimitedLog } from '../../limited-log.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import { digestOf } from './digest.ts'
import { HttpTokenError } from './errors.ts'

const TOKEN_CHARACTERS_MIN = 16
const TOKEN_CHARACTERS_MAX = 4096
const READ_AGAIN_MS = 1000

export interface TokenWorld {
  readonly disk: Pick<Disk, 'readFile'>
  readonly log: LogSink
  /** ms, by a clock that nobody sets */
  monotonic(): number
}

export class TokenFile {
  readonly #path: string
  readonly #world: TokenWorld
  readonly #limited: LimitedLog
  #digest: Buffer
  #readAt: number

  private constructor(path: string, world: TokenWorld, token: string) {
    this.#path = path
    this.#world = world
    this.#limited = new LimitedLog(world.log)
    this.#digest = digestOf(token)
    this.#readAt = world.monotonic()
  }

  /** @throws HttpTokenError */
  static async open(path: string, world: TokenWorld): Promise<TokenFile> {
    return new TokenFile(path, world, await readToken(path, world))
  }

  /** Takes as long for every token, so that nobody finds it letter by letter. */
  async isRight(token: string): Promise<boolean> {
    if (this.#world.monotonic() - this.#readAt >= READ_AGAIN_MS) await this.#readAgain()
    return timingSafeEqual(digestOf(token), this.#digest)
  }

  async #readAgain(): Promise<void> {
    this.#readAt = this.#world.monotonic()
    try {
      const digest = digestOf(await readToken(this.#path, this.#world))
      if (digest.equals(this.#digest)) return
      this.#digest = digest
      this.#world.log.info('the HTTP token has changed')
    } catch (error) {
      const reason = (error as Error).message
      this.#limited.warn('token', 'the HTTP token cannot be read again: the old one counts', { reason })
    }
  }
}

async function readToken(path: string, { disk }: TokenWorld): Promise<string> {
  let bytes: Buffer | undefined
  try {
    bytes = await disk.readFile(path)
  } catch (error) {
    throw new HttpTokenError(path, (error as Error).message, error)
  }
  if (bytes === undefined) throw new HttpTokenError(path, 'there is no such file')
  const token = bytes.toString('utf8').trim()
  const { length } = token
  if (length < TOKEN_CHARACTERS_MIN) throw new HttpTokenError(path, `its token has ${length} characters`)
  // what cannot stand in a header could never be sent
  if (length > TOKEN_CHARACTERS_MAX || !/^[\x21-\x7e]+$/.test(token)) {
    throw new HttpTokenError(path, 'it does not hold one token of letters, digits and signs of ASCII')
  }
  return token
}
