#!/usr/bin/env node
/**
 * The composition root: argv -> command. The only file that imports all modules, each when it is needed: what `start` does
 * not use stays out of the broker's memory.
 */
import { createRequire } from 'node:module'
import { basename, relative } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Broker } from './broker/broker.ts'
import type { LoadedConfig, RefusedConfig } from './broker/config/load.ts'
import type { Config } from './broker/config/schema.ts'
import { ConfigError, errorLine } from './broker/errors.ts'
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

const VERSION = (createRequire(import.meta.url)('#package') as { version: string }).version
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
  openLog: async (directory) => (await import('./broker/broker.ts')).openLog(directory),
}

const actions: Actions = {
  async start(options) {
    const { runStart } = await import('./broker/operations/commands/start.ts')
    const { startDemo } = await import('./broker/operations/demo/demo-process.ts')
    return runStart(
      context,
      { ...options, program: programName() },
      {
        loadConfig: () => loadConfigApart(options),
        startBroker: async (config, log) =>
          (await import('./broker/broker.ts')).Broker.start(config, { log }),
        startSync,
        startDemo: options.demo ? (listener, log) => startDemo(listener, DEMO_SEED, log) : null,
      },
    )
  },
  async init(file, { force }) {
    const { runInit } = await import('./broker/operations/commands/init.ts')
    return runInit(context, { file, force, upstreamSchema: await upstreamSchema() })
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
  async read(stream, options) {
    return (await import('./broker/operations/commands/read.ts')).runRead(context, stream, options)
  },
  async syncStatus(options) {
    return (await import('./broker/operations/commands/sync-status.ts')).runSyncStatus(context, options)
  },
  async syncCommand(command, upstream, options) {
    const { runSyncCommand } = await import('./broker/operations/commands/sync-status.ts')
    return runSyncCommand(context, command, upstream, options)
  },
  async logVerify(options) {
    return (await import('./broker/operations/commands/log-verify.ts')).runLogVerify(context, options)
  },
}

async function upstreamSchema() {
  return undefined as never
}

async function loadConfig({ config, data }: ConfigOptions): Promise<LoadedConfig | RefusedConfig> {
  const { loadConfig: load } = await import('./broker/config/load.ts')
  return load({ file: config, data, env: process.env, upstreamSchema: await upstreamSchema() })
}

// -- start ----------------------------------------------------------------------------------------------------------

/** What crosses from the thread that loads the configuration. */
type LoadAnswer =
  | { ok: true; config: Config; file: string | null; warnings: readonly string[] }
  | { ok: false; problems: { place: string; message: string; hint: string }[] }

/**
 * Loads the configuration in a thread of its own: the schema and YAML libraries take 13 MB, which go with the thread. A
 * broker that runs for years does not carry what it needs for a tenth of a second.
 */
async function loadConfigApart(options: ConfigOptions): Promise<Extract<LoadAnswer, { ok: true }>> {
  const answer = await new Promise<LoadAnswer>((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: options })
    let received: LoadAnswer | null = null
    worker.once('message', (message: LoadAnswer) => {
      received = message
    })
    worker.once('error', reject)
    worker.once('exit', () => {
      if (received === null) reject(new Error('the configuration was not loaded'))
      else resolve(received)
    })
  })
  if (answer.ok) return answer
  throw new ConfigProblems(
    answer.problems.map(({ place, message, hint }) => new ConfigError(place, message, hint)),
  )
}

async function loadConfigForMain(): Promise<void> {
  const loaded = await loadConfig(workerData as ConfigOptions)
  const answer: LoadAnswer = loaded.ok
    ? { ok: true, config: loaded.config, file: loaded.file, warnings: loaded.warnings }
    : {
        ok: false,
        problems: loaded.problems.map(({ place, message, hint }) => ({
          place,
          message: message.slice(place.length + 2),
          hint,
        })),
      }
  parentPort!.postMessage(answer)
}

async function startSync(_config: Config, _broker: Broker, _log: LogSink): Promise<RunningSync> {
  const { UpstreamCommands } = await import('./broker/operations/upstream-commands.ts')
  const commands = new UpstreamCommands(new Map())
  return { operations: commands, close: () => commands.close() }
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

/** How this program is called, for hints that can be copied. */
function programName(): string {
  const script = process.argv[1] ?? 'headwater'
  if (basename(script) === 'headwater') return 'headwater'
  const path = relative(process.cwd(), script)
  // npm runs a package's own command from its folder.
  return path.startsWith('..') ? `node ${path}` : 'npx headwater'
}

function fail(error: unknown): void {
  if (process.env.HEADWATER_DEBUG) console.error(error)
  const lines = error instanceof ConfigProblems ? error.problems.map(errorLine) : [errorLine(error)]
  for (const line of lines) err.line(`headwater: ${printable(line)}`)
  process.exitCode = error instanceof ConfigProblems ? ExitCode.usage : exitCodeFor(error)
}

async function main(): Promise<void> {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? ExitCode.ok : ExitCode.failed)
  })
  const { buildProgram, usageExitCode } = await import('./broker/operations/commands/program.ts')
  const program = buildProgram(VERSION, actions, (code) => {
    process.exitCode = code
  })
  try {
    await program.parseAsync()
  } catch (error) {
    const usage = usageExitCode(error)
    if (usage === null) fail(error)
    else process.exitCode = usage
  }
}

if (isMainThread) await main()
else await loadConfigForMain()
