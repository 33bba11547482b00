/** A nats-server of a test's own: a real one in a process of its own, with its store in a temporary directory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onExit, whenOrphaned } from '../kafka/cleanup.ts'
import { freePort } from '../kafka/ports.ts'
import { natsBinary } from './binary.ts'

const START_MS_MAX = 30_000
const READY = 'Server is ready'
const RELOADED = 'Reloaded server configuration'
const PID_FILE = 'pid'

export interface NatsOptions {
  /** What stands in the server's configuration besides its address and its store. */
  readonly config?: string
  /** What stands in its `jetstream` block; null for a server without JetStream. */
  readonly jetstream?: string | null
}

export class NatsServer {
  readonly address: string
  /** Its temporary directory: `nats.log`, `nats.conf`, `store/`. */
  readonly directory: string
  readonly #path: string
  readonly #releaseCleanup: () => void
  #child: ChildProcess | null = null
  #gone: Promise<void> = Promise.resolve()

  private constructor(path: string, directory: string, address: string) {
    this.#path = path
    this.directory = directory
    this.address = address
    const releaseExit = onExit(() => {
      this.#child?.kill('SIGKILL')
      rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
    })
    const script = `test -f "$1/${PID_FILE}" && kill -9 "$(cat "$1/${PID_FILE}")"; sleep 0.3; rm -rf "$1"`
    const releaseReaper = whenOrphaned(script, [directory])
    this.#releaseCleanup = () => {
      releaseExit()
      releaseReaper()
    }
  }

  static async start(options: NatsOptions = {}): Promise<NatsServer> {
    const server = await NatsServer.create(options)
    await server.start()
    return server
  }

  /** One that does not run yet. */
  static async create(options: NatsOptions = {}): Promise<NatsServer> {
    const { path, reason } = await natsBinary()
    if (path === null) throw new Error(reason)
    const directory = await mkdtemp(join(tmpdir(), 'headwater-nats-'))
    const server = new NatsServer(path, directory, `127.0.0.1:${await freePort()}`)
    await server.configure(options)
    return server
  }

  /** Counts from the next start on. */
  async configure({ config = '', jetstream = '' }: NatsOptions): Promise<void> {
    const store = JSON.stringify(join(this.directory, 'store'))
    const block = jetstream === null ? '' : `jetstream { store_dir: ${store}\n${jetstream} }`
    await writeFile(join(this.directory, 'nats.conf'), `listen: "${this.address}"\n${block}\n${config}\n`)
  }

  /** The server serves when it resolves. */
  async start(): Promise<void> {
    if (this.isRunning) throw new Error(`nats-server on ${this.address} runs already`)
    const log = join(this.directory, 'nats.log')
    const out = openSync(log, 'w')
    // A session of its own, so that Ctrl-C reaches the test runner alone, which then ends the server.
    const child = spawn(this.#path, ['-c', join(this.directory, 'nats.conf')], {
      detached: true,
      stdio: ['ignore', out, out],
    })
    closeSync(out)
    child.once('error', () => {})
    child.unref()
    this.#child = child
    const pidFile = join(this.directory, PID_FILE)
    writeFileSync(pidFile, String(child.pid))
    this.#gone = new Promise((resolve) => {
      child.once('exit', () => {
        rmSync(pidFile, { force: true })
        resolve()
      })
    })
    const deadline = Date.now() + START_MS_MAX
    while (!readFileSync(log, 'utf8').includes(READY)) {
      if (!this.isRunning || Date.now() > deadline) {
        child.kill('SIGKILL')
        throw new Error(`nats-server did not start:\n${readFileSync(log, 'utf8').slice(-4000)}`)
      }
      await sleep(5)
    }
  }

  /** Takes another configuration while it runs; clients that it does not let in any longer are disconnected. */
  async reload(options: NatsOptions): Promise<void> {
    const log = join(this.directory, 'nats.log')
    const reloads = () => readFileSync(log, 'utf8').split(RELOADED).length
    const before = reloads()
    await this.configure(options)
    this.#child!.kill('SIGHUP')
    const deadline = Date.now() + START_MS_MAX
    while (reloads() === before) {
      if (!this.isRunning || Date.now() > deadline) {
        throw new Error(`nats-server did not reload:\n${readFileSync(log, 'utf8').slice(-4000)}`)
      }
      await sleep(5)
    }
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** SIGKILL, and waits until the process is gone. The store stays. */
  async kill(): Promise<void> {
    if (this.isRunning) this.#child?.ref()
    this.#child?.kill('SIGKILL')
    await this.#gone
  }

  /** Keeps a copy of the store as it is on disk now; the server must not run, or nobody write. */
  async copyStore(): Promise<void> {
    await cp(join(this.directory, 'store'), join(this.directory, 'copy'), { recursive: true })
  }

  /** Puts that copy back: what a power cut leaves of a server that had not synced what it acknowledged. */
  async restoreStore(): Promise<void> {
    await rm(join(this.directory, 'store'), { recursive: true })
    await cp(join(this.directory, 'copy'), join(this.directory, 'store'), { recursive: true })
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 })
    this.#releaseCleanup()
  }
}
