/** A broker as an operator runs it: `headwater start` in a process of its own, killed and started at will. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../' : '../../', import.meta.url),
)
export const CLI = `${ROOT}dist/cli.js`
const START_MS_MAX = 20_000
const OUTPUT_CHARS_MAX = 200_000

export class BrokerProcess {
  readonly #args: readonly string[]
  readonly #port: number
  #child: ChildProcess | undefined
  /** What all its lives wrote, the oldest cut off. */
  output = ''

  /** @param args after `headwater start`. @param port of its MQTT listener, to know when it is up. */
  constructor(args: readonly string[], port: number) {
    this.#args = args
    this.#port = port
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves once the listener takes connections. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [CLI, 'start', ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    const deadline = Date.now() + START_MS_MAX
    while (!(await accepts(this.#port))) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`the broker ended: ${child.exitCode ?? child.signalCode}\n${this.output}`)
      }
      if (Date.now() > deadline) throw new Error(`the broker did not start\n${this.output}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
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

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
