#!/usr/bin/env node
/**
 * The composition root: argv -> command. The only file that imports all modules, each when it is needed: what `start` does
 * not use stays out of the broker's memory.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Broker } from './broker/broker.ts'
import type { LoadedConfig, RefusedConfig } from './broker/config/load.ts'
import type { Config } from './broker/config/schema.ts'
import { errorLine, HeadwaterError } from './broker/errors.ts'
import type { LogSink } from './broker/log-sink.ts'
import {
  type CommandContext,
  type ConfigOptions,
  ConfigProblems,
} from './broker/operations/commands/context.ts'
import type { Actions } from './broker/operations/commands/program.ts'
import type { RunningSync } from './broker/operations/commands/start.ts'
import { ExitCode, exitCodeFor } from './broker/operations/exit-codes.ts'
import { Output } from './broker/operations/terminal/output.ts'
import { printable } from './broker/operations/terminal/printable.ts'
import type { Downlink, DownlinkConfig, Replicator, UpstreamConfig } from './sync/index.ts'

const VERSION = (createRequire(import.meta.url)('#package') as { version: string }).version
const EXIT_MS = 1000
/** Of standard input and of a child's complaints. */
const INPUT_BYTES_MAX = 65_536
/** The same sensors at every start. */
const DEMO_SEED = 1

const out = new Output(process.stdout, process.env)
const err = new Output(process.stderr, process.env)

const context: CommandContext = {
  out,
  err,
  env: process.env,
  get signal() {
    return interrupted()
  },
  loadConfig,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { confirm, askSecret } : {}),
  readInput,
  openLog: async (directory) => (await import('./broker/broker.ts')).openLog(directory),
}

const actions: Actions = {
  // Never called in the process that becomes the broker: see `start`.
  start: planStart,
  async init(file, { force }) {
    const { runInit } = await import('./broker/operations/commands/init.ts')
    const { DownlinkSchema, UpstreamSchema } = await import('./sync/config.ts')
    const schemas = { upstreamSchema: UpstreamSchema, downlinkSchema: DownlinkSchema }
    return runInit(context, { file, force, ...schemas })
  },
  async reload(options) {
    return (await import('./broker/operations/commands/reload.ts')).runReload(context, options)
  },
  async usersAdd(name, options) {
    return (await import('./broker/operations/commands/users.ts')).runUsersAdd(context, name, options)
  },
  async usersPasswd(name, options) {
    return (await import('./broker/operations/commands/users.ts')).runUsersPasswd(context, name, options)
  },
  async usersRemove(name, options) {
    return (await import('./broker/operations/commands/users.ts')).runUsersRemove(context, name, options)
  },
  async usersList(options) {
    return (await import('./broker/operations/commands/users.ts')).runUsersList(context, options)
  },
  async check(file, options) {
    const { runCheck } = await import('./broker/operations/commands/check.ts')
    return runCheck(context, { ...options, config: file ?? options.config })
  },
  async status(options) {
    return (await import('./broker/operations/commands/status.ts')).runStatus(context, options)
  },
  async streams(options) {
    return (await import('./broker/operations/commands/streams.ts')).runStreams(context, options)
  },
  async compact(stream, options) {
    return (await import('./broker/operations/commands/streams.ts')).runCompact(context, stream, options)
  },
  async read(stream, options) {
    return (await import('./broker/operations/commands/read.ts')).runRead(context, stream, options)
  },
  async table(stream, key, options) {
    return (await import('./broker/operations/commands/table.ts')).runTable(context, stream, key, options)
  },
  async syncStatus(options) {
    return (await import('./broker/operations/commands/sync-status.ts')).runSyncStatus(context, options)
  },
  async syncCommand(command, upstream, options) {
    const { runSyncCommand } = await import('./broker/operations/commands/sync-status.ts')
    return runSyncCommand(context, command, upstream, options)
  },
  async syncVerify(upstream, options) {
    // Beside a broker: what it is for goes first.
    const { constants, setPriority } = await import('node:os')
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
    const { runSyncVerify } = await import('./broker/operations/commands/sync-verify.ts')
    const { createAuditSource, recordWishes, rememberedPositions, verifyUpstream } = await import(
      './sync/index.ts'
    )
    return runSyncVerify(context, upstream, options, {
      remembered: (facts, name, { incarnation }) => rememberedPositions(facts, name, incarnation),
      async verify(entry, log, request, onProgress, signal) {
        // The schema of these entries is sync's: the configuration was checked with it.
        const config = entry as unknown as UpstreamConfig
        const source = await createAuditSource(config, {}, options.bandwidth)
        try {
          const wished = { ...request, wishOf: recordWishes(config) }
          return await verifyUpstream(log, source, wished, onProgress, signal)
        } finally {
          await source.close()
        }
      },
    })
  },
  async syncRewind(upstream, stream, partition, options) {
    const { runSyncRewind } = await import('./broker/operations/commands/sync-rewind.ts')
    return runSyncRewind(context, upstream, stream, partition, options)
  },
  async logVerify(options) {
    return (await import('./broker/operations/commands/log-verify.ts')).runLogVerify(context, options)
  },
  async logRepair(options) {
    return (await import('./broker/operations/commands/log-repair.ts')).runLogRepair(context, options)
  },
  async logDump(options) {
    return (await import('./broker/operations/commands/log-dump.ts')).runLogDump(context, options)
  },
  async backup(file, options) {
    return (await import('./broker/operations/commands/backup.ts')).runBackup(context, file, options)
  },
  async restore(file, options) {
    return (await import('./broker/operations/commands/restore.ts')).runRestore(context, file, options)
  },
  async rename(edge, options) {
    return (await import('./broker/operations/commands/rename.ts')).runRename(context, edge, options)
  },
}

/** On a terminal only; anything but yes is no. */
async function confirm(question: string): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: interrupted() })
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}

/** On a terminal only, which shows nothing of the answer. */
async function askSecret(question: string): Promise<string> {
  const { readSecret } = await import('./broker/operations/terminal/secret.ts')
  return readSecret(process.stdin, process.stderr, question)
}

async function readInput(): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > INPUT_BYTES_MAX) break
  }
  return Buffer.concat(chunks)
}

async function loadConfig({ config, data }: ConfigOptions): Promise<LoadedConfig | RefusedConfig> {
  const { loadConfig: load } = await import('./broker/config/load.ts')
  const { DownlinkSchema, UpstreamSchema } = await import('./sync/config.ts')
  const { downlinkFaults, upstreamFaults } = await import('./sync/index.ts')
  const { validate } = await import('node-cron')
  return load({
    file: config,
    data,
    env: process.env,
    upstreams: { schema: UpstreamSchema, faults: (entry) => upstreamFaults(entry as never, validate) },
    downlinks: {
      schema: DownlinkSchema,
      faults: (entry, { upstreams }) => downlinkFaults(entry as never, upstreams),
    },
  })
}

// -- start ----------------------------------------------------------------------------------------------------------

type StartOptions = ConfigOptions & { readonly demo: boolean }

/** What a child process read for `start` from the command line and the configuration. */
interface StartPlan {
  readonly options: StartOptions
  readonly config: Config
  readonly file: string | null
  readonly warnings: readonly string[]
}

/** The command by which `start` calls itself. */
const PLAN_COMMAND = 'plan-start'

/**
 * The command line and the configuration are read by a child process that ends before the broker begins: their libraries
 * (commander, TypeBox, YAML) take 15 MB, and a broker that runs for years does not carry what it needs for a fifth of a
 * second. Measured: a thread in its place keeps 2 MB of them.
 */
async function start(): Promise<void> {
  const plan = await planApart(process.argv.slice(3))
  if (plan === null) return
  const { options, ...loaded } = plan
  const { runStart } = await import('./broker/operations/commands/start.ts')
  const { startDemo } = await import('./broker/operations/demo/demo-process.ts')
  process.exitCode = await runStart(
    context,
    { ...options, program: programName() },
    {
      loaded,
      startBroker: async (config, log) => {
        const { Broker } = await import('./broker/broker.ts')
        return Broker.start(config, { log, upstreams: config.upstreams.map(({ name }) => name) })
      },
      startSync,
      readAgain,
      // where somebody sits there, it says that the terminal has gone
      ...(out.isTerminal ? {} : { onHangUp }),
      startDemo: options.demo ? (listener, login, log) => startDemo(listener, login, DEMO_SEED, log) : null,
    },
  )
}

/** For `reload`: what the same command line gives now. @throws ReloadRefusedError */
async function readAgain(): Promise<StartPlan> {
  const args = [PLAN_COMMAND, ...process.argv.slice(3)]
  const stdio = ['ignore', 'ignore', 'pipe', 'ipc'] as const
  const child = fork(fileURLToPath(import.meta.url), args, { execArgv: [], stdio: [...stdio] })
  let plan: StartPlan | null = null
  let complaints = ''
  child.once('message', (message) => {
    plan = message as StartPlan
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(0, INPUT_BYTES_MAX)
  })
  await once(child, 'close')
  if (plan !== null) return plan
  const { ReloadRefusedError } = await import('./broker/operations/errors.ts')
  const lines = complaints.split('\n').filter((line) => line !== '')
  throw new ReloadRefusedError(lines.map((line) => line.replace(/^headwater: (HW_CONFIG: )?/, '')))
}

function onHangUp(reload: () => void): () => void {
  process.on('SIGHUP', reload)
  return () => process.off('SIGHUP', reload)
}

/** @returns null when the child has said it all: help, or what is wrong. */
async function planApart(args: readonly string[]): Promise<StartPlan | null> {
  const child = fork(fileURLToPath(import.meta.url), [PLAN_COMMAND, ...args], { execArgv: [] })
  let plan: StartPlan | null = null
  child.once('message', (message) => {
    plan = message as StartPlan
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  if (signal !== null) throw new Error(`reading the configuration was ended by ${signal}`)
  if (plan === null) process.exitCode = code ?? ExitCode.failed
  return plan
}

/** In the child. */
async function planStart(options: StartOptions): Promise<number> {
  const { loadedConfig } = await import('./broker/operations/commands/context.ts')
  const { config, file, warnings } = await loadedConfig(context, options)
  const plan: StartPlan = { options, config, file, warnings }
  if (process.send === undefined) {
    const { UpstreamSchema } = await import('./sync/config.ts')
    const { withoutSecrets } = await import('./broker/config/secret-keys.ts')
    out.json({ ...plan, config: { ...config, upstreams: withoutSecrets(UpstreamSchema, config.upstreams) } })
  } else await new Promise((resolve) => process.send!(plan, resolve))
  if (process.connected) process.disconnect()
  return ExitCode.ok
}

/** A replicator an upstream, and what it reads; their positions are kept among the broker's facts. */
async function startSync(config: Config, broker: Broker, sink: LogSink): Promise<RunningSync> {
  const { checkpointCache, createReplicator, linkMemory } = await import('./sync/index.ts')
  const { UpstreamCommands } = await import('./broker/operations/upstream-commands.ts')
  const wiring = {
    log: broker.log,
    cache: checkpointCache(broker.facts),
    memory: linkMemory(broker.facts),
    trustedNow: () => broker.trustedNow(),
    sink,
    readClock: () => ({ now: Date.now(), ...broker.clockTrust() }),
  }
  const replicators = new Map<string, Replicator>()
  for (const entry of config.upstreams) {
    // The schema of these entries is sync's: the configuration was checked with it.
    const upstream = entry as unknown as UpstreamConfig
    const replicator = await createReplicator(upstream, wiring)
    replicators.set(upstream.name, replicator)
    broker.log.floors.set(upstream.name, () => replicator.positions())
  }
  const downlinks = await createDownlinks(config, broker, sink)
  for (const running of [...replicators.values(), ...downlinks.values()]) running.start()
  const commands = new UpstreamCommands(replicators, downlinks)
  return { operations: commands, close: () => commands.close() }
}

async function createDownlinks(
  config: Config,
  broker: Broker,
  sink: LogSink,
): Promise<Map<string, Downlink>> {
  const downlinks = new Map<string, Downlink>()
  if (config.downlinks.length === 0) return downlinks
  const { createDownlink } = await import('./sync/downlink/create.ts')
  const { linkMemory } = await import('./sync/index.ts')
  const wiring = {
    edge: broker.status().edge,
    upstreams: config.upstreams as unknown as UpstreamConfig[],
    facts: broker.facts,
    memory: linkMemory(broker.facts),
    publisher: broker.publisher,
    sink,
    trustedNow: () => broker.trustedNow(),
    readClock: () => ({ now: Date.now(), ...broker.clockTrust() }),
  }
  for (const entry of config.downlinks) {
    downlinks.set(entry.name, await createDownlink(entry as unknown as DownlinkConfig, wiring))
  }
  return downlinks
}

// -- the process ----------------------------------------------------------------------------------------------------

let interruption: AbortController | null = null

/** Aborts on the first SIGINT or SIGTERM; the second ends the process. */
function interrupted(): AbortSignal {
  if (interruption !== null) return interruption.signal
  const controller = new AbortController()
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + number)
      controller.abort()
    })
  }
  interruption = controller
  return controller.signal
}

/** In the package's own folder, as against links to it in the path. */
const OWN_COMMAND = fileURLToPath(new URL('../bin/headwater', import.meta.url))

/** How this program is called, for hints that can be copied. */
function programName(): string {
  // said by bin/headwater
  const command = process.env.HEADWATER_PROGRAM
  if (command !== undefined) {
    return resolve(command) === OWN_COMMAND ? relative(process.cwd(), OWN_COMMAND) : 'headwater'
  }
  // Not `npx headwater`: for a package's own command npx installs the package anew, and not always well.
  return `node ${relative(process.cwd(), process.argv[1] ?? '')}`
}

function fail(error: unknown): void {
  if (process.env.HEADWATER_DEBUG) console.error(error)
  const lines = error instanceof ConfigProblems ? error.problems.map(errorLine) : [lineOf(error)]
  for (const line of lines) err.line(`headwater: ${printable(line)}`)
  process.exitCode = error instanceof ConfigProblems ? ExitCode.usage : exitCodeFor(error)
}

/** What no one foresaw says where it happened: in the field there is no second chance to look. */
function lineOf(error: unknown): string {
  if (error instanceof HeadwaterError || !(error instanceof Error)) return errorLine(error)
  const frame = /^ *at (.*)$/m.exec(error.stack ?? '')?.[1] ?? 'unknown place'
  return `HW_INTERNAL: ${error.message} (${frame}) - please report it; HEADWATER_DEBUG=1 prints more`
}

async function main(): Promise<void> {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? ExitCode.ok : ExitCode.failed)
  })
  // The state of a program that did not expect its own error is not to be trusted. What was acknowledged is on disk.
  process.on('uncaughtException', (error) => {
    fail(error)
    process.exit(ExitCode.failed)
  })
  const [command, ...args] = process.argv.slice(2)
  try {
    if (command === 'start') await start()
    else await runProgram(command === PLAN_COMMAND ? ['start', ...args] : process.argv.slice(2))
  } catch (error) {
    fail(error)
  }
  // All is closed by now. A disk or a connection that does not let go is not waited for; a pipe's reader is.
  if (command === 'start') setTimeout(() => process.exit(), EXIT_MS).unref()
}

async function runProgram(args: readonly string[]): Promise<void> {
  const { buildProgram, usageExitCode } = await import('./broker/operations/commands/program.ts')
  const program = buildProgram(VERSION, actions, (code) => {
    process.exitCode = code
  })
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    const usage = usageExitCode(error)
    if (usage === null) throw error
    process.exitCode = usage
  }
}

await main()
