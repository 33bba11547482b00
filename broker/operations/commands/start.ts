/** `headwater start`: the running broker, what it prints, and how it ends. */
import type { ReloadReport } from '../../config/changes.ts'
import type { Config } from '../../config/schema.ts'
import { errorLine } from '../../errors.ts'
import type { LogSink } from '../../log-sink.ts'
import { ControlServer } from '../control/control-server.ts'
import { controlRoutes } from '../control/routes.ts'
import { ExitCode } from '../exit-codes.ts'
import { createLogger, logLevel } from '../logger.ts'
import { oneWaiting } from '../one-waiting.ts'
import type { BrokerOperations, Operations, SyncOperations } from '../operations.ts'
import { Supervision } from '../supervise/supervision.ts'
import { StatusLine } from '../terminal/status-line.ts'
import { Watch, type WatchWorld } from '../watch.ts'
import type { CommandContext, ConfigOptions } from './context.ts'
import { bannerLines } from './start-banner.ts'
import { startHttp } from './start-http.ts'
import { StatusMeter } from './start-meter.ts'

const STATUS_LINE_MS = 1000
const DEMO_USER = 'headwater/demo'
const DEMO_TOPICS = ['demo/#']
const STATUS_LOG_MS = 60_000
/** Longer than a replicator gives a round under way. What upstream has not acknowledged is sent after the next start. */
const SYNC_CLOSE_MS_MAX = 6000

export interface RunningBroker extends BrokerOperations {
  /** Takes up what can be taken up of a configuration that was read again. */
  applyConfig?(config: Config): Promise<ReloadReport>
  /** Lets a client of this program's own in. @returns its password */
  addGuest(name: string, publish: readonly string[]): string
  close(): Promise<void>
}

export interface RunningSync {
  readonly operations: SyncOperations
  /** Retention waits for the upstreams that come, from before the broker has done its part. @returns takes it back */
  expect?(config: Config): () => void
  /** The same of its upstreams and downlinks, once the broker has done its part. @param secrets keys whose values are not shown */
  apply?(config: Config, secrets: ReadonlySet<string>): Promise<ReloadReport>
  close(): Promise<void>
}

/** As what the demo's sensors come. */
export interface DemoLogin {
  readonly username: string
  readonly password: string
}

export interface RunningDemo {
  /** For the banner, in one clause. */
  readonly description: string
  close(): Promise<void>
}

/** A configuration that was read again. */
export interface ReadConfig {
  readonly config: Config
  readonly warnings: readonly string[]
  /** Keys whose values are not shown. */
  readonly secretKeys: readonly string[]
}

/** What the command line puts together for `start`. */
export interface StartParts<B extends RunningBroker> {
  readonly loaded: {
    readonly config: Config
    readonly file: string | null
    /** http.address was written by somebody. */
    readonly isHttpGiven: boolean
    readonly warnings: readonly string[]
  }
  startBroker(config: Config, log: LogSink): Promise<B>
  startSync(config: Config, broker: B, log: LogSink): Promise<RunningSync>
  /** null without --demo. @param listener an address that the broker listens on */
  startDemo: ((listener: string, login: DemoLogin, log: LogSink) => RunningDemo) | null
  /** Reads the configuration again. @throws ReloadRefusedError */
  readAgain?(): Promise<ReadConfig>
  /** Calls it at each SIGHUP. @returns the way to stop */
  onHangUp?(reload: () => void): () => void
  /** What alarms and charts look at besides the broker; this process's own where it is not given. */
  readonly world?: WatchWorld
}

export async function runStart<B extends RunningBroker>(
  context: CommandContext,
  options: ConfigOptions & { program: string },
  parts: StartParts<B>,
): Promise<number> {
  const { out, err, env, signal } = context
  const statusLine = new StatusLine(out)
  const log = createLogger({
    level: logLevel(env),
    isJournal: env.JOURNAL_STREAM !== undefined && !err.isTerminal,
    write: (line) => statusLine.around(() => err.raw(line)),
    now: Date.now,
  })
  const { config, file, warnings, isHttpGiven } = parts.loaded
  for (const warning of warnings) log.warn(warning)

  const supervision = new Supervision({ env, log })
  // Closed in the reverse order, whatever came to be.
  const closers: (() => Promise<void>)[] = []
  try {
    const broker = await parts.startBroker(config, log)
    closers.push(() => broker.close())
    const sync = await parts.startSync(config, broker, log)
    closers.push(() =>
      withinTime(sync.close(), SYNC_CLOSE_MS_MAX, () => log.warn('an upstream does not end; not waited for')),
    )
    const own = {
      log: broker.log,
      ...(broker.tables === undefined ? {} : { tables: broker.tables }),
      status: () => broker.status(),
      sync: sync.operations,
    }
    const watch = new Watch(own, config.log.disk.enduranceBytes ?? null, parts.world)
    const operations: Operations = {
      ...own,
      clients: () => broker.clients(),
      disconnect: (clientId) => broker.disconnect(clientId),
      damage: () => broker.damage(),
      acknowledgeDamage: (lostOffsets) => broker.acknowledgeDamage(lostOffsets),
      alarms: () => watch.alarms(),
      wear: () => watch.wear(),
      history: (since) => watch.history(since),
      reload: reloader(broker, sync, parts, supervision, log, (keys) => watch.needsRestart(keys)),
    }
    watch.start()
    closers.push(async () => watch.close())
    const stopReloading = parts.onHangUp?.(reloadOnce(operations, log))
    if (stopReloading !== undefined) closers.push(async () => stopReloading())
    const control = await openControl(config, operations, log)
    if (control !== null) closers.push(() => control.close())
    const http = await startHttp({ config: config.http, isGiven: isHttpGiven }, operations, log)
    if (http !== null) closers.push(() => http.close())
    const demo = openDemo(broker, parts, log)
    if (demo !== null) closers.push(() => demo.close())

    const banner = bannerLines(out, {
      config,
      file,
      status: broker.status(),
      dashboard: http?.address ?? null,
      demo,
      options,
    })
    for (const line of banner) out.line(line)
    const stopMeter = showStatus(context, statusLine, operations, log)
    closers.push(async () => stopMeter())
    supervision.ready(operations)
    await aborted(signal)
    supervision.stopping()
    statusLine.end()
    log.info('stopping')
  } finally {
    for (const close of closers.reverse()) await close()
  }
  log.info('stopped; all that was acknowledged is on disk')
  return ExitCode.ok
}

/** The sensors speak plain MQTT over TCP. */
function openDemo<B extends RunningBroker>(
  broker: B,
  { startDemo }: StartParts<B>,
  log: LogSink,
): RunningDemo | null {
  if (startDemo === null) return null
  const listener = broker.status().mqtt.listeners.find((one) => !one.includes('://'))
  if (listener === undefined) {
    log.warn(
      '--demo publishes nothing: its sensors want a listener without tls and webSocket, such as 127.0.0.1:1883',
    )
    return null
  }
  const password = broker.addGuest(DEMO_USER, DEMO_TOPICS)
  return startDemo(listener, { username: DEMO_USER, password }, log)
}

/** Signals that share a reload are told once what is wrong with it. */
function reloadOnce({ reload }: Operations, log: LogSink): () => void {
  const seen = new WeakSet<Promise<unknown>>()
  return () => {
    const done = reload?.()
    if (done === undefined || seen.has(done)) return
    seen.add(done)
    done.catch((error) => log.error(errorLine(error)))
  }
}

/** Each reads the configuration in a process of its own: a flood of signals must not make a flood of them. */
function reloader<B extends RunningBroker>(
  broker: B,
  sync: RunningSync,
  { readAgain }: StartParts<B>,
  supervision: Supervision,
  log: LogSink,
  waitsForRestart: (keys: readonly string[]) => void,
): () => Promise<ReloadReport> {
  const reload = async (): Promise<ReloadReport> => {
    if (readAgain === undefined || broker.applyConfig === undefined) return { applied: [], needsRestart: [] }
    const { config, warnings, secretKeys } = await readAgain()
    for (const warning of warnings) log.warn(warning)
    // with a shorter retention in the same file, what they have not had would be gone before they begin
    const takeBack = sync.expect?.(config)
    const own = await broker.applyConfig(config).catch((error) => {
      takeBack?.()
      throw error
    })
    // streams that are new are there by now
    const others = await sync.apply?.(config, new Set(secretKeys))
    const report = {
      applied: [...own.applied, ...(others?.applied ?? [])],
      needsRestart: [...own.needsRestart, ...(others?.needsRestart ?? [])],
    }
    waitsForRestart(report.needsRestart.map(({ key }) => key))
    log.info('the configuration was read again', {
      applied: report.applied.length,
      needsRestart: report.needsRestart.length,
    })
    return report
  }
  return oneWaiting(() => supervision.reloading(reload))
}

/** Without its socket the broker still does what it is for. */
async function openControl(
  config: Config,
  operations: Operations,
  log: LogSink,
): Promise<ControlServer | null> {
  try {
    return await ControlServer.start(config.data, controlRoutes(operations))
  } catch (error) {
    log.error(`status and read will not reach this broker: ${errorLine(error)}`)
    return null
  }
}

/** On a terminal one line that refreshes, else a log line a minute. @returns the way to stop. */
function showStatus(
  { out }: CommandContext,
  statusLine: StatusLine,
  operations: Operations,
  log: LogSink,
): () => void {
  const meter = new StatusMeter(operations)
  const timer = out.canRedraw
    ? setInterval(() => statusLine.show(meter.line()), STATUS_LINE_MS)
    : setInterval(() => log.info('status', meter.fields()), STATUS_LOG_MS)
  return () => clearInterval(timer)
}

async function withinTime(work: Promise<void>, ms: number, late: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      late()
      resolve()
    }, ms)
  })
  await Promise.race([work, timeout])
  clearTimeout(timer)
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
