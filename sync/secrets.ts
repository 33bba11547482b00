/**
 * Secrets, from files and the environment. Each is read anew when it is needed, so that it can be changed while Headwater
 * runs, and stands in no log, status or error: what is told of one is the field of the configuration that names it.
 */
import { readFile, stat } from 'node:fs/promises'
import type { LogSink } from '../broker/index.ts'
import { UpstreamSecretError } from './errors.ts'

/** A certificate chain of a dozen large keys is 50 KB; what is larger is another file. */
const SECRET_BYTES_MAX = 1024 * 1024
/** Others may do something with the file. */
const OTHERS = 0o077

/** Where one secret stands: exactly one of these is given, which the configuration's check sees to. */
export interface SecretPlace {
  /** The fields' names, for errors. */
  readonly field: string
  readonly file?: string | undefined
  readonly variable?: string | undefined
  readonly value?: string | undefined
}

/** Reads secrets for one upstream, and warns once of each file that others may read. */
export class Secrets {
  readonly #env: NodeJS.ProcessEnv
  readonly #sink: LogSink | null
  readonly #who: string
  readonly #warned = new Set<string>()

  /** @param who begins each warning, such as "upstream central" */
  constructor(env: NodeJS.ProcessEnv, sink: LogSink | null, who: string) {
    this.#env = env
    this.#sink = sink
    this.#who = who
  }

  /** One line of text. @throws UpstreamSecretError */
  async text({ field, file, variable, value }: SecretPlace): Promise<string> {
    if (value !== undefined) return value
    if (variable !== undefined) {
      const found = this.#env[variable]
      if (found !== undefined && found !== '') return found
      throw new UpstreamSecretError(`${field}Env ${variable}`, 'the environment has no such variable')
    }
    const name = `${field}File ${file}`
    const text = (await this.bytes(`${field}File`, file!, true)).toString('utf8').replace(/(\r?\n)+$/, '')
    if (text === '') throw new UpstreamSecretError(name, 'the file is empty')
    if (/[\r\n]/.test(text)) throw new UpstreamSecretError(name, 'the file has more than one line')
    return text
  }

  /**
   * @param field names it in errors, such as "tls.caFile"
   * @param isSecret others should not be able to read it
   * @throws UpstreamSecretError
   */
  async bytes(field: string, path: string, isSecret: boolean): Promise<Buffer> {
    const name = `${field} ${path}`
    try {
      const { mode, size } = await stat(path)
      if (size > SECRET_BYTES_MAX)
        throw new UpstreamSecretError(name, `it has ${size} bytes: not such a file`)
      const bytes = await readFile(path)
      if (isSecret) this.#checkMode(field, path, mode)
      return bytes
    } catch (cause) {
      if (cause instanceof UpstreamSecretError) throw cause
      const { code } = cause as NodeJS.ErrnoException
      const reason = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`
      throw new UpstreamSecretError(name, reason, cause)
    }
  }

  #checkMode(field: string, path: string, mode: number): void {
    if (process.platform === 'win32') return
    if ((mode & OTHERS) === 0) {
      this.#warned.delete(path)
      return
    }
    if (this.#warned.has(path)) return
    this.#warned.add(path)
    const octal = (mode & 0o777).toString(8).padStart(3, '0')
    this.#sink?.warn(
      `${this.#who}: ${field} ${path} is open to other users (mode ${octal}) - chmod 600 ${path}`,
    )
  }
}
