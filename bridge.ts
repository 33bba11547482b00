#!/usr/bin/env node
/**
 * The composition root of `headwater-bridge`: argv -> command. Each part is imported when it is needed: what `start` does not use stays
 * out of the bridge's memory.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import type { RefusedConfig } from './broker/config/load-file.ts'
import { errorLine, HeadwaterError } from './broker/errors.ts'
import { ExitCode } from './broker/operations/exit-codes.ts'
import { createLogger, logLevel } from './broker/operations/logger.ts'
import { COMPLETE_COMMAND } from './broker/operations/terminal/completion/command.ts'
import { Output } from './broker/operations/terminal/output.ts'
import { printable } from './broker/operations/terminal/printable.ts'
import { OWN_FILES } from './broker/own-files.ts'
import { VERSION } from './broker/version.ts'
import type { BridgeActions, Located } from './firmware-bridge/commands/program.ts'
import type { StartedWith } from './firmware-bridge/commands/start.ts'
import type { LoadedBridgeConfig } from './firmware-bridge/config/load.ts'

const EXIT_MS = 1000
/** The command by which `start` calls itself. */
const PLAN_COMMAND = 'plan-start'
/**
 * V8 lets garbage grow to twice what is in use before it looks: with 200 devices that is 104 MiB in place of 79. The young generation's size has to be
 * known before Node begins: bin/headwater-bridge.
 */
const SMALL_HEAP = ['--heap-growing-percent=20']

const EXIT_CODES: Readonly<Record<string, number>> = {
  HW_CONFIG: ExitCode.usage,
  HW_USAGE: ExitCode.usage,
  HW_BRIDGE_NOT_RUNNING: ExitCode.notRunning,
  HW_BRIDGE_LOCKED: ExitCode.locked,
  HW_BRIDGE_DATA: ExitCode.dataDirectory,
  HW_BRIDGE_STATUS_ADDRESS: ExitCode.listen,
  HW_BRIDGE_UDP: ExitCode.listen,
}

const out = new Output(process.stdout, process.env)
const err = new Output(process.stderr, process.env)

const actions: BridgeActions = {
  // Never called in the process that becomes the bridge: see `start`.
  start: planStart,
  async init(file, { force }) {
    const { bridgeTemplate } = await import('./firmware-bridge/commands/configuration.ts')
    const { schemaBeside, withSchemaLine, writeNewFile } = await import(
      './broker/operations/commands/init.ts'
    )
    if (file === '-') {
      out.raw(bridgeTemplate())
      return ExitCode.ok
    }
    const beside = schemaBeside(file)
    await writeNewFile(file, withSchemaLine(bridgeTemplate(), beside), force, 'headwater-bridge.yaml')
    await writeSchema(beside)
    out.line(`wrote ${file}, and ${beside} by which editors complete it`)
    out.line(
      `edit it, then: headwater-bridge config check ${file} && headwater-bridge start --config ${file}`,
    )
    return ExitCode.ok
  },
  async check(file, options) {
    const { reportCheck } = await import('./firmware-bridge/commands/configuration.ts')
    const loaded = await load({ ...options, ...(file === undefined ? {} : { config: file }) })
    return reportCheck({ out, err }, loaded, options.json) ? ExitCode.ok : ExitCode.usage
  },
  async show(key, options) {
    const { showConfig } = await import('./broker/operations/commands/config.ts')
    const { BridgeSchema } = await import('./firmware-bridge/config/schema.ts')
    showConfig(out, BridgeSchema, await loaded(options), { ...options, key })
    return ExitCode.ok
  },
  async schema(file) {
    await writeSchema(file)
    if (file !== '-') out.line(`wrote ${file}`)
    return ExitCode.ok
  },
  async migrate(file, options) {
    const { migrateConfig } = await import('./broker/operations/commands/config.ts')
    const { BRIDGE_PROGRAM } = await import('./firmware-bridge/config/load.ts')
    const { command: program, migrations } = BRIDGE_PROGRAM
    const found = await loaded({ ...options, ...(file === undefined ? {} : { config: file }) })
    return migrateConfig(out, found, { ...options, program, migrations })
  },
  async status(options) {
    const { showStatus } = await import('./firmware-bridge/commands/status.ts')
    const { config } = await loaded(options)
    return (await showStatus(out, config.status.address, options, interrupted()))
      ? ExitCode.ok
      : ExitCode.failed
  },
  async ports({ json }) {
    const { listPorts } = await import('./firmware-bridge/commands/ports.ts')
    await listPorts(out, json)
    return ExitCode.ok
  },
  async completion(shell) {
    const { completionScript } = await import('./broker/operations/terminal/completion/scripts.ts')
    out.raw(completionScript(shell, 'headwater-bridge'))
    return ExitCode.ok
  },
  async man(program, { markdown }) {
    const { BRIDGE_FACTS } = await import('./firmware-bridge/commands/program.ts')
    const { runManual } = await import('./broker/operations/terminal/manual/run.ts')
    runManual(out, program, BRIDGE_FACTS, { version: VERSION, seeAlso: ['headwater'] }, markdown)
    return ExitCode.ok
  },
}

async function writeSchema(file: string): Promise<void> {
  const { schemaText, writeGenerated } = await import('./broker/operations/commands/init.ts')
  const { BridgeSchema } = await import('./firmware-bridge/config/schema.ts')
  const text = schemaText(BridgeSchema, 'The firmware bridge of Headwater')
  if (file === '-') out.raw(text)
  else await writeGenerated(file, text)
}

async function load({ config, data }: Located): Promise<LoadedBridgeConfig | RefusedConfig> {
  const { loadBridgeConfig } = await import('./firmware-bridge/config/load.ts')
  return loadBridgeConfig({ file: config, data, env: process.env })
}

/** The configuration is refused: all of its problems. */
class ConfigProblems extends Error {
  readonly lines: readonly string[]
  constructor({ problems }: RefusedConfig) {
    super('the configuration is refused')
    this.lines = problems.map(({ line }) => line)
  }
}

async function loaded(options: Located): Promise<LoadedBridgeConfig> {
  const result = await load(options)
  if (!result.ok) throw new ConfigProblems(result)
  return result
}

/**
 * As with the broker, a child process that ends reads command line and configuration: their libraries (commander, TypeBox, YAML) take
 * 15 MB.
 */
async function start(args: readonly string[]): Promise<void> {
  const child = fork(OWN_FILES.bridge, [PLAN_COMMAND, ...args], { execArgv: [] })
  let plan: StartedWith | null = null
  child.once('message', (message) => {
    plan = message as StartedWith
  })
  const [code, ended] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  if (ended !== null) throw new Error(`reading the configuration was ended by ${ended}`)
  if (plan === null) {
    process.exitCode = code ?? ExitCode.failed
    return
  }
  for (const flag of SMALL_HEAP) setFlagsFromString(flag)
  const log = createLogger({
    level: logLevel(process.env),
    isJournal: process.env.JOURNAL_STREAM !== undefined && !err.isTerminal,
    write: (line) => err.raw(line),
    now: Date.now,
  })
  const { runBridge } = await import('./firmware-bridge/commands/start.ts')
  const isClockTrusted = await clockTrust()
  await runBridge(plan, {
    out,
    log,
    version: VERSION,
    signal: interrupted(),
    env: process.env,
    isClockTrusted,
  })
}

/** The broker's own judgement of this machine's clock. */
async function clockTrust(): Promise<() => boolean> {
  const { ClockWatch } = await import('./broker/clock/clock-watch.ts')
  const { systemClock } = await import('./broker/clock/system-clock.ts')
  const watch = new ClockWatch({ ...systemClock(), mode: 'auto' })
  watch.start(null, 0)
  return () => watch.isTrusted()
}

/** In the child. */
async function planStart(options: Located): Promise<number> {
  const { config, file, warnings } = await loaded(options)
  const plan: StartedWith = { config, file, warnings }
  if (process.send === undefined) out.json(plan)
  else await new Promise((resolve) => process.send!(plan, resolve))
  if (process.connected) process.disconnect()
  return ExitCode.ok
}

let interruption: AbortController | null = null

/** Aborts on the first SIGINT or SIGTERM; the second ends the process. */
function interrupted(): AbortSignal {
  if (interruption !== null) return interruption.signal
  const controller = new AbortController()
  interruption = controller
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + number)
      controller.abort()
    })
  }
  return controller.signal
}

function fail(error: unknown): void {
  if (process.env.HEADWATER_DEBUG) console.error(error)
  const lines = error instanceof ConfigProblems ? error.lines : [lineOf(error)]
  for (const line of lines) err.line(`headwater-bridge: ${printable(line)}`)
  const code = error instanceof HeadwaterError ? EXIT_CODES[error.code] : undefined
  process.exitCode = error instanceof ConfigProblems ? ExitCode.usage : (code ?? ExitCode.failed)
}

/** What no one foresaw says where it happened: in the field there is no second chance to look. */
function lineOf(error: unknown): string {
  if (error instanceof HeadwaterError || !(error instanceof Error)) return errorLine(error)
  const frame = /^ *at (.*)$/m.exec(error.stack ?? '')?.[1] ?? 'unknown place'
  return `HW_INTERNAL: ${error.message} (${frame}) - please report it; HEADWATER_DEBUG=1 prints more`
}

/** For a shell's script. The names of devices are not completed. */
async function complete(words: readonly string[]): Promise<void> {
  const { buildBridgeProgram } = await import('./firmware-bridge/commands/program.ts')
  const { suggest } = await import('./broker/operations/terminal/completion/suggest.ts')
  const { answerText } = await import('./broker/operations/terminal/completion/scripts.ts')
  const { suggested } = suggest(
    buildBridgeProgram(VERSION, actions, () => {}),
    words,
  )
  const answer =
    suggested.kind === 'words'
      ? suggested
      : { kind: suggested.kind === 'names' ? ('words' as const) : suggested.kind, words: [] }
  out.raw(answerText(answer, words.at(-1) ?? ''))
}

async function runProgram(args: readonly string[]): Promise<void> {
  const { bridgeUsageExitCode, buildBridgeProgram } = await import('./firmware-bridge/commands/program.ts')
  const { askingForHelp } = await import('./broker/operations/terminal/manual/usage.ts')
  const program = buildBridgeProgram(VERSION, actions, (code) => {
    process.exitCode = code
  })
  try {
    await program.parseAsync(askingForHelp(program, args), { from: 'user' })
  } catch (error) {
    const usage = bridgeUsageExitCode(error)
    if (usage === null) throw error
    process.exitCode = usage
  }
}

async function main(): Promise<void> {
  // A reader that has seen enough (`| head`) is no error. What runs for years does not end because the disk of its output is full.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(ExitCode.ok)
    if (process.argv[2] === 'start') return
    err.line(`headwater-bridge: standard output: ${error.message}`)
    process.exit(ExitCode.failed)
  })
  // The same of what is told beside it; the exit code stays what it is.
  process.stderr.on('error', () => {})
  // The state of a program that did not expect its own error is not to be trusted. What was acknowledged is with the broker.
  process.on('uncaughtException', (error) => {
    fail(error)
    process.exit(ExitCode.failed)
  })
  const [command, ...args] = process.argv.slice(2)
  try {
    if (command === 'start') await start(args)
    else if (command === COMPLETE_COMMAND) await complete(args)
    else await runProgram(command === PLAN_COMMAND ? ['start', ...args] : process.argv.slice(2))
  } catch (error) {
    fail(error)
  }
  if (command === 'start') setTimeout(() => process.exit(), EXIT_MS).unref()
}

await main()
