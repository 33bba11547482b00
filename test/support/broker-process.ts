/** A broker as an operator runs it: `headwater start` in a process of its own, killed and started at will. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onExit } from './kafka/cleanup.ts'

const ROOT = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../' : '../../', import.meta.url),
)
export const CLI = `${ROOT}dist/cli.js`
/** A machine that does much else has been seen to take half a minute. */
const START_MS_MAX = 90_000
const OUTPUT_CHARS_MAX = 200_000
/** The first line that `headwater start` prints once all of it runs: its listeners, its upstreams and its control socket. */
const BANNER = /^headwater \S+ {2}edge /m

export interface BrokerProcessOptions {
  /** Of node, such as those of the start script. */
  readonly flags?: readonly string[]
  /** Beside this process's own. */
  readonly environment?: NodeJS.ProcessEnv
  /** Gets all that is written, as it comes. */
  readonly onOutput?: (text: string) => void
}

export class BrokerProcess {
  readonly #args: readonly string[]
  readonly #options: BrokerProcessOptions
  #child: ChildProcess | undefined
  /** What all its lives wrote, the oldest cut off. */
  output = ''

  /** @param args after `headwater start` */
  constructor(args: readonly string[], options: BrokerProcessOptions = {}) {
    this.#args = args
    this.#options = options
  }

  /** Null where it did not end by itself, or still runs. */
  get exitCode(): number | null {
    return this.#child?.exitCode ?? null
  }

  get isRunning(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves once it takes connections of devices and of the command line. */
  async start(): Promise<void> {
    const { flags = [], environment = {}, onOutput } = this.#options
    const child = spawn(process.execPath, [...flags, CLI, 'start', ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    this.#child = child
    const takeBack = onExit(() => child.kill('SIGKILL'))
    child.once('exit', takeBack)
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
      onOutput?.(chunk.toString())
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    let limit: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = (what: string) => reject(new Error(`${what}\n${this.output}`))
        limit = setTimeout(() => fail('the broker did not start'), START_MS_MAX)
        child.once('error', reject)
        child.once('close', (code, signal) => fail(`the broker ended: ${code ?? signal}`))
        let said = ''
        const look = (chunk: Buffer) => {
          said += chunk.toString()
          if (!BANNER.test(said)) return
          child.stdout.off('data', look)
          resolve()
        }
        child.stdout.on('data', look)
      })
    } finally {
      clearTimeout(limit)
    }
  }

  /** Runs another command on the same configuration. @returns what it printed, which is JSON. */
  async ask(command: readonly string[]): Promise<unknown> {
    const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...command, ...this.#args]).catch(
      // a command that reports a fault exits with 1 and has printed its report all the same
      (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }),
    )
    return JSON.parse(stdout)
  }

  /** Sends the signal and waits until the process is gone. @returns its exit code, null when the signal ended it. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null
    const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
    child.kill(signal)
    return gone
  }
}
