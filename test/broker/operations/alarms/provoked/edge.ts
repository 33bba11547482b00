/**
 * A broker in this process, put together as `headwater start` does: real log, MQTT, upstreams, HTTP and control socket, on a configuration
 * file. Time goes on in leaps where a test says so, for alarms that open after minutes and for records that wait for an hour; the disk may be a
 * faulty one. What the commands say of it is what the commands print.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { stringify } from 'yaml'
import { Broker } from '../../../../../broker/broker.ts'
import type { ClockParts } from '../../../../../broker/clock/clock-watch.ts'
import { systemClock as systemClockParts } from '../../../../../broker/clock/system-clock.ts'
import { systemTime } from '../../../../../broker/clock/system-time.ts'
import { type LoadedConfig, loadConfig } from '../../../../../broker/config/load.ts'
import type { LogStatus } from '../../../../../broker/log/log-status.ts'
import type { Alarm } from '../../../../../broker/operations/alarms/alarm.ts'
import type { CommandContext } from '../../../../../broker/operations/commands/context.ts'
import { runReload } from '../../../../../broker/operations/commands/reload.ts'
import { runStart } from '../../../../../broker/operations/commands/start.ts'
import { runStatus } from '../../../../../broker/operations/commands/status.ts'
import { runSyncCommand } from '../../../../../broker/operations/commands/sync-status.ts'
import { ReloadRefusedError } from '../../../../../broker/operations/errors.ts'
import type { StatusReport, UpstreamStatus } from '../../../../../broker/operations/operations.ts'
import { processWorld, type WatchWorld } from '../../../../../broker/operations/watch.ts'
import { nodeDisk } from '../../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../../broker/storage/store.ts'
import { systemClock } from '../../../../../broker/timers.ts'
import { startSync } from '../../../../../cli/start-sync.ts'
import { DownlinkSchema, UpstreamSchema } from '../../../../../sync/config.ts'
import { downlinkFaults, upstreamFaults } from '../../../../../sync/index.ts'
import { outputTo } from '../../output-to.ts'

/** Between two looks of `pass`; a leap is made of them. */
const LOOK_SECONDS = 15
const REAL_MS_MAX = 25_000

export interface EdgeOptions {
  /** Keys of the configuration; those that are not here are a test's defaults. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly disk?: Disk
  /** In place of the machine's, which leaps. */
  readonly clock?: ClockParts
  /** What the system gives this process, bytes. */
  readonly memoryBytesMax?: () => number | null
  /** Where configuration and data are, below it; a new one otherwise. */
  readonly directory?: string
}

const DEFAULTS = {
  edge: 'edge-1',
  data: './data',
  mqtt: { listeners: [{ address: '127.0.0.1:0' }] },
  http: { address: '127.0.0.1:0' },
  // whatever this machine's time service says
  clock: { trust: 'always' },
  log: { disk: { reserveBytes: 1_048_576 } },
  upstreams: [],
}

const directories: string[] = []

/** @param below where; the system's own place for such things otherwise */
export function scratch(below = tmpdir()): string {
  const directory = mkdtempSync(join(below, 'headwater-alarms-'))
  directories.push(directory)
  return directory
}

export function removeScratch(): void {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
}

export class Edge {
  readonly directory: string
  readonly #options: EdgeOptions
  #config: Readonly<Record<string, unknown>>
  readonly #stop = new AbortController()
  /** How far time has leapt, ms. */
  #ahead = 0
  #look = () => {}
  #running: Promise<number> | null = null
  readonly #clients: MqttClient[] = []
  /** All that it printed and logged. */
  said = ''

  private constructor(options: EdgeOptions) {
    this.#options = options
    this.#config = { ...DEFAULTS, ...options.config }
    this.directory = options.directory ?? scratch()
  }

  static async start(options: EdgeOptions = {}): Promise<Edge> {
    const edge = new Edge(options)
    await edge.#start()
    return edge
  }

  /** The same directory and configuration, after a stop. */
  async restart(changes: EdgeOptions = {}): Promise<Edge> {
    await this.stop()
    const config = { ...this.#config, ...changes.config }
    return Edge.start({ ...this.#options, directory: this.directory, ...changes, config })
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.end(true)
    this.#stop.abort()
    await this.#running
  }

  get data(): string {
    return join(this.directory, 'data')
  }

  // -- time -----------------------------------------------------------------------------------------------------------

  /** Time passes, and alarms are looked for in it. */
  pass(seconds: number): void {
    for (let left = seconds; left > 0; left -= LOOK_SECONDS) {
      this.#ahead += Math.min(left, LOOK_SECONDS) * 1000
      this.#look()
    }
  }

  /** Looks until something is so, in real time. */
  async until(what: string, is: () => Promise<boolean> | boolean): Promise<void> {
    const deadline = performance.now() + REAL_MS_MAX
    while (!(await is())) {
      if (performance.now() > deadline) throw new Error(`it is not so that ${what}\n${this.said}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Lets time pass until an alarm is there, or no longer there. @returns how long that took, seconds */
  async alarm(id: string, isOpen: boolean, secondsMax: number): Promise<number> {
    for (let seconds = 0; ; seconds += LOOK_SECONDS) {
      const alarms = await this.alarms()
      if (alarms.some((alarm) => alarm.id === id) === isOpen) return seconds
      if (seconds > secondsMax) {
        const state = `${isOpen ? 'not there' : 'still there'} after ${seconds} s`
        throw new Error(`${id} is ${state}: ${JSON.stringify(alarms)}\n${this.said}`)
      }
      this.pass(LOOK_SECONDS)
      await turn()
    }
  }

  // -- what it shows --------------------------------------------------------------------------------------------------

  async get(path: string): Promise<string> {
    const [, address] = /^dashboard (http:\S+)$/m.exec(this.said)!
    const response = await fetch(`${address}${path}`)
    if (!response.ok) throw new Error(`${path}: ${response.status}`)
    return response.text()
  }

  async report(): Promise<StatusReport> {
    return JSON.parse(await this.get('/api/v1/status')) as StatusReport
  }

  async log(): Promise<LogStatus> {
    return (await this.report()).broker!.log
  }

  async upstream(): Promise<UpstreamStatus> {
    return (await this.report()).upstreams[0]!
  }

  async alarms(): Promise<Alarm[]> {
    return (JSON.parse(await this.get('/api/v1/alarms')) as { alarms: Alarm[] }).alarms
  }

  /** What a command prints. */
  async headwater(
    run: (context: CommandContext, options: { data: string; json: false }) => Promise<number>,
  ): Promise<string> {
    let printed = ''
    const context = this.#context((text) => {
      printed += text
    })
    await run(context, { data: this.data, json: false })
    return printed
  }

  status(): Promise<string> {
    return this.headwater(runStatus)
  }

  sync(command: 'pause' | 'resume' | 'now', upstream: string): Promise<string> {
    return this.headwater((context, options) => runSyncCommand(context, command, upstream, options))
  }

  /** Edits the configuration and has it read again, as an operator does. */
  reload(changes: Readonly<Record<string, unknown>>): Promise<string> {
    this.#config = { ...this.#config, ...changes }
    this.#write()
    return this.headwater(runReload)
  }

  // -- clients --------------------------------------------------------------------------------------------------------

  get port(): number {
    return Number(/^mqtt +127\.0\.0\.1:([0-9]+)$/m.exec(this.said)?.[1])
  }

  /** @throws where it is refused */
  async connect(options: IClientOptions = {}): Promise<MqttClient> {
    const client = await connectAsync(
      `mqtt://127.0.0.1:${this.port}`,
      { reconnectPeriod: 50, ...options },
      false,
    )
    client.on('error', () => {})
    this.#clients.push(client)
    return client
  }

  /** All of them are acknowledged. */
  async publish(topic: string, payloads: readonly (string | Buffer)[]): Promise<void> {
    const client = await this.connect()
    await Promise.all(payloads.map((payload) => client.publishAsync(topic, payload, { qos: 1 })))
    await client.endAsync()
  }

  // -- inside ---------------------------------------------------------------------------------------------------------

  #write(): void {
    writeFileSync(join(this.directory, 'headwater.yaml'), stringify(this.#config))
  }

  #load(): LoadedConfig {
    const loaded = loadConfig({
      file: join(this.directory, 'headwater.yaml'),
      env: {},
      upstreams: { schema: UpstreamSchema, faults: (entry) => upstreamFaults(entry as never) },
      downlinks: {
        schema: DownlinkSchema,
        faults: (entry, { upstreams }) => downlinkFaults(entry as never, upstreams),
      },
    })
    if (!loaded.ok) throw new ReloadRefusedError(loaded.problems.map(({ line }) => line))
    return loaded
  }

  async #start(): Promise<void> {
    this.#write()
    const loaded = this.#load()
    const { disk = nodeDisk, clock = this.#clock() } = this.#options
    const context = this.#context((text) => {
      this.said += text
    })
    const upstreams = loaded.config.upstreams.map(({ name }) => name)
    const ahead = () => this.#ahead
    const syncClock = {
      ...systemClock,
      now: () => systemClock.now() + ahead(),
      monotonic: () => systemClock.monotonic() + ahead(),
    }
    this.#running = runStart(
      context,
      { program: 'headwater' },
      {
        loaded: { ...loaded, isHttpGiven: true },
        startBroker: (config, log) => Broker.start(config, { log, disk, clock, upstreams }),
        startSync: (config, broker, log) => startSync(config, broker, log, syncClock),
        startDemo: null,
        readAgain: async () => ({ ...this.#load(), secretKeys: [] }),
        world: this.#world(),
      },
    )
    const failed = this.#running.then(
      () => null,
      (error: Error) => error,
    )
    await this.until('it runs', async () => {
      if (this.said.includes('Ctrl-C')) return true
      const error = await Promise.race([failed, turn(false)])
      if (error instanceof Error) throw error
      return false
    })
  }

  #world(): WatchWorld {
    return {
      ...processWorld,
      now: () => processWorld.now() + this.#ahead,
      monotonic: () => processWorld.monotonic() + this.#ahead,
      memoryBytesMax: this.#options.memoryBytesMax ?? (() => null),
      every: (_, look) => {
        this.#look = look
        return () => {}
      },
    }
  }

  #clock(): ClockParts {
    const time = {
      ...systemTime,
      wall: () => systemTime.wall() + this.#ahead,
      monotonic: () => systemTime.monotonic() + this.#ahead,
    }
    return { ...systemClockParts(), time }
  }

  #context(write: (text: string) => void): CommandContext {
    const out = outputTo(write)
    return {
      out,
      err: out,
      env: {},
      signal: this.#stop.signal,
      loadConfig: async () => this.#load(),
      openLog: () => Promise.reject(new Error('a broker runs')),
    }
  }
}
