/** A bridge as an operator runs it: `headwater-bridge start` in a process of its own, killed and started at will. */
import { type ChildProcess, type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onExit, whenOrphaned } from './kafka/cleanup.ts'

const ROOT = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../' : '../../', import.meta.url),
)
export const BRIDGE = `${ROOT}dist/bridge.js`
/** With what V8 has to know before it begins; it becomes the bridge, under the same process id. */
const COMMAND = `${ROOT}bin/headwater-bridge`
const START_MS_MAX = 90_000
const OUTPUT_CHARS_MAX = 200_000
/** What `headwater-bridge start` prints once devices can come. */
const BANNER = /^headwater-bridge \S+ {2}gateway /m

export class BridgeProcess {
  readonly #args: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined
  #isEnded = false
  /** What all its lives wrote, the oldest cut off. */
  output = ''

  /** @param args after `headwater-bridge start` */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#args = args
    this.#env = { ...process.env, ...env }
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** It ended by itself. */
  get isGone(): boolean {
    const child = this.#child
    return child !== undefined && !this.#isEnded && (child.exitCode !== null || child.signalCode !== null)
  }

  /** Resolves once devices can come. */
  async start(): Promise<void> {
    const child = this.launch()
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string) => reject(new Error(`${what}\n${said}`))
      const limit = setTimeout(() => fail('the bridge did not start'), START_MS_MAX)
      child.once('close', (code, signal) => {
        clearTimeout(limit)
        fail(`the bridge ended: ${code ?? signal}`)
      })
      const look = () => {
        if (!BANNER.test(said)) return
        clearTimeout(limit)
        child.stdout.off('data', look)
        resolve()
      }
      child.stdout.on('data', look)
    })
  }

  /** Does not wait until it runs. */
  launch(): ChildProcessByStdio<null, Readable, Readable> {
    // its `node` is the one that runs this, unless a test has programs of its own
    const isOwnPath = this.#env.PATH !== process.env.PATH
    const path = `${dirname(process.execPath)}:${this.#env.PATH ?? ''}`
    const env = { ...this.#env, ...(isOwnPath ? {} : { PATH: path }) }
    const child = spawn(COMMAND, ['start', ...this.#args], { stdio: ['ignore', 'pipe', 'pipe'], env })
    this.#child = child
    this.#isEnded = false
    const takeBack = onExit(() => child.kill('SIGKILL'))
    const calmDown = whenOrphaned('kill -9 "$1"', [`${child.pid}`])
    child.once('exit', () => {
      takeBack()
      calmDown()
    })
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    return child
  }

  /** Sends the signal and waits until the process is gone. @returns its exit code, null when the signal ended it */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    this.#isEnded = true
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null
    const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
    child.kill(signal)
    return gone
  }

  /** Runs another command on the same configuration. */
  run(command: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return runBridge([...command, ...this.#args], this.#env)
  }
}

export async function runBridge(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [BRIDGE, ...args], { env })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, stdout, stderr }
  }
}
