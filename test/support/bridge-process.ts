/** A bridge as an operator runs it: `headwater-bridge start` in a process of its own, killed and started at will. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onExit } from './kafka/cleanup.ts'

const BRIDGE = fileURLToPath(
  new URL(
    import.meta.url.includes('/dist/') ? '../../../dist/bridge.js' : '../../dist/bridge.js',
    import.meta.url,
  ),
)
const START_MS_MAX = 90_000
const OUTPUT_CHARS_MAX = 200_000
/** What `headwater-bridge start` prints once devices can come. */
const BANNER = /^headwater-bridge \S+ {2}gateway /m

export class BridgeProcess {
  readonly #args: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined
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

  async start(): Promise<void> {
    const child = spawn(process.execPath, [BRIDGE, 'start', ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.#env,
    })
    this.#child = child
    child.once(
      'exit',
      onExit(() => child.kill('SIGKILL')),
    )
    let said = ''
    const keep = (chunk: Buffer): void => {
      said = (said + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
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

  /** Sends the signal and waits until the process is gone. @returns its exit code, null when the signal ended it */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child
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
