/** The broker that is tried: as `npm start` runs it, in a process of its own, with users, permissions and quotas. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Memory, memory } from '../bench/process-usage.ts'
import { startSettings } from '../bench/start-settings.ts'
import { BrokerProcess, CLI } from '../support/broker-process.ts'
import { createCertificate } from '../support/certificates.ts'
import { freePort } from '../support/kafka/ports.ts'

export const HONEST = { name: 'honest', password: 'keeps to the rules' } as const
export const HONEST_STREAM = 'honest'
export const STREAM = 'anything'

const FAULTS_MAX = 20
/**
 * What no input may bring about: an error of the program itself, by its stack or its name, or a line that the broker logs as an error. Clients'
 * reasons stand in quotes behind the level and are not looked at.
 */
const FAULT =
  /^\S+ error |^\s+at |HW_INTERNAL|^\S*(?:Type|Range|Reference|Assertion)Error|nhandled|ERR_|heap out of memory/

export interface TargetOptions {
  /** Beside what every trial has. */
  readonly limits: Record<string, number>
  /** Of the stream that takes what is not honest. */
  readonly retentionBytes: number
}

export interface StoredMessage {
  readonly topic: string
  readonly value: string
}

export class Target {
  readonly directory: string
  readonly port: number
  readonly webSocketPort: number
  readonly tlsPort: number
  /** Lines of its log that no input may cause; the first ones. */
  readonly faults: string[] = []
  readonly #broker: BrokerProcess
  readonly #config: string
  #rest = ''

  static async start(options: TargetOptions): Promise<Target> {
    const target = new Target(mkdtempSync(join(tmpdir(), 'headwater-endurance-')), [
      await freePort(),
      await freePort(),
      await freePort(),
    ])
    const { cert, key } = createCertificate({ name: 'target', names: ['127.0.0.1'] })
    writeFileSync(join(target.directory, 'cert.pem'), cert)
    writeFileSync(join(target.directory, 'key.pem'), key, { mode: 0o600 })
    writeFileSync(target.#config, target.#configuration(options))
    const added = spawnSync(
      process.execPath,
      [CLI, 'users', 'add', HONEST.name, '--config', target.#config],
      {
        input: HONEST.password,
      },
    )
    if (added.status !== 0) throw new Error(`headwater users add: ${added.stderr}`)
    await target.#broker.start()
    return target
  }

  private constructor(directory: string, [port, webSocketPort, tlsPort]: readonly [number, number, number]) {
    this.directory = directory
    this.port = port
    this.webSocketPort = webSocketPort
    this.tlsPort = tlsPort
    this.#config = join(directory, 'headwater.yaml')
    const { flags, environment } = startSettings()
    const onOutput = (text: string) => this.#look(text)
    this.#broker = new BrokerProcess(['--config', this.#config], { flags, environment, onOutput })
  }

  get isRunning(): boolean {
    return this.#broker.isRunning
  }

  get output(): string {
    return this.#broker.output
  }

  memory(): Memory {
    return memory(this.#broker.pid!)
  }

  /** @returns its exit code, null when it did not end by itself */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    return this.#broker.end(signal)
  }

  /** Another command on the same configuration. @returns what it printed, which is JSON. */
  ask(command: readonly string[]): Promise<unknown> {
    return this.#broker.ask(command)
  }

  /** What the honest stream holds, one after the other: it may be more than fits into memory. */
  async eachStored(take: (message: StoredMessage) => void): Promise<void> {
    const args = [CLI, 'read', HONEST_STREAM, '--config', this.#config]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    for await (const line of createInterface({ input: child.stdout })) take(JSON.parse(line) as StoredMessage)
    const code = await ended
    if (code !== 0) throw new Error(`headwater read ended with ${code}`)
  }

  /** Leaves what the broker said beside its data. @returns where */
  keep(): string {
    writeFileSync(join(this.directory, 'broker.log'), this.output)
    return this.directory
  }

  discard(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  #look(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) {
      if (FAULT.test(line.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')) && this.faults.length < FAULTS_MAX)
        this.faults.push(line)
    }
  }

  /** JSON is YAML. */
  #configuration({ limits, retentionBytes }: TargetOptions): string {
    const webSocket = { path: '/mqtt' }
    const tls = { certFile: join(this.directory, 'cert.pem'), keyFile: join(this.directory, 'key.pem') }
    return JSON.stringify({
      data: join(this.directory, 'data'),
      mqtt: {
        listeners: [
          { address: `127.0.0.1:${this.port}` },
          { address: `127.0.0.1:${this.webSocketPort}`, webSocket },
          { address: `127.0.0.1:${this.tlsPort}`, tls },
        ],
        anonymous: true,
        permissions: [
          { users: ['*'], publish: ['#'], subscribe: ['#', '$SYS/#', '$replay/#'] },
          { users: [HONEST.name], publish: ['honest/%c/#'], subscribe: ['honest/#'] },
        ],
      },
      streams: [
        { name: HONEST_STREAM, topics: ['honest/#'], writer: HONEST.name },
        { name: STREAM, topics: ['#'], retention: { bytes: retentionBytes } },
      ],
      upstreams: [],
      limits,
    })
  }
}
