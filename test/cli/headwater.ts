/** The built command line, as a person runs it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectAsync } from 'mqtt'
import { afterAll } from 'vitest'

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const START_MS_MAX = 20_000

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const children = new Set<ChildProcess>()
const directories: string[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** An empty directory that goes with the test file. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-cli-'))
  directories.push(directory)
  return directory
}

function launch(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): ChildProcess {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(HEADWATER_|JOURNAL_STREAM$|NO_COLOR$|FORCE_COLOR$)/.test(name),
    ),
  )
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd,
    // whatever this machine's time service says, tests see the same broker
    env: { ...inherited, HEADWATER_CLOCK_TRUST: 'always', HEADWATER_HTTP_ADDRESS: 'null', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/** Runs a command to its end. */
export async function headwater(
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Finished> {
  const child = launch(args, cwd, env)
  const out = { stdout: '', stderr: '' }
  child.stdout!.on('data', (chunk: Buffer) => {
    out.stdout += chunk.toString()
  })
  child.stderr!.on('data', (chunk: Buffer) => {
    out.stderr += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...out }
}

/** A command that goes on: `start`, `read --follow`. */
export class Running {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
    this.child = launch(args, cwd, env)
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString()
    })
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
    })
  }

  /** Waits for a text on standard output. */
  async until(text: string | RegExp): Promise<void> {
    const deadline = Date.now() + START_MS_MAX
    while (!(typeof text === 'string' ? this.stdout.includes(text) : text.test(this.stdout))) {
      if (this.child.exitCode !== null)
        throw new Error(`it ended with ${this.child.exitCode}\n${this.stderr}`)
      if (Date.now() > deadline) throw new Error(`"${text}" did not come\n${this.stdout}\n${this.stderr}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode
    const closed = once(this.child, 'close')
    this.child.kill(signal)
    const [code] = (await closed) as [number | null]
    return code
  }
}

/** Starts a broker on a port that the system chooses, and waits until it is up. */
export async function startBroker(
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ broker: Running; port: number }> {
  const broker = new Running(['start', ...args], cwd, { HEADWATER_MQTT_LISTENERS: '127.0.0.1:0', ...env })
  await broker.until('Ctrl-C')
  return { broker, port: Number(/^mqtt +127\.0\.0\.1:([0-9]+)$/m.exec(broker.stdout)?.[1]) }
}

/** Standard error without what is said of the disk that this machine has for temporary files. */
export function besidesFileSystem(stderr: string): string {
  return stderr.replace(/^.* the data directory's file system: .*\n/gm, '')
}

/** Publishes with QoS 1 and waits for every acknowledgement. */
export async function publish(port: number, messages: readonly [topic: string, payload: string | Buffer][]) {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`)
  await Promise.all(messages.map(([topic, payload]) => client.publishAsync(topic, payload, { qos: 1 })))
  await client.endAsync()
}
