#!/usr/bin/env node
/**
 * The composition root of `headwater-bridge`: argv -> command. Each part is imported when it is needed: what `start` does not use stays
 * out of the bridge's memory.
 */
import { setFlagsFromString } from 'node:v8'
import type { RefusedConfig } from './broker/config/load-file.ts'
import { ConfigProblems } from './broker/operations/commands/context.ts'
import { ExitCode } from './broker/operations/exit-codes.ts'
import { createLogger, logLevel } from './broker/operations/logger.ts'
import { planApart, sendPlan } from './broker/operations/plan-apart.ts'
import { interrupted, runMain } from './broker/operations/program-process.ts'
import { Output } from './broker/operations/terminal/output.ts'
import type { Located } from './broker/operations/terminal/words.ts'
import { OWN_FILES } from './broker/own-files.ts'
import { VERSION } from './broker/version.ts'
import type { BridgeActions } from './firmware-bridge/commands/program.ts'
import type { StartedWith } from './firmware-bridge/commands/start.ts'
import type { LoadedBridgeConfig } from './firmware-bridge/config/load.ts'

/**
 * V8 lets garbage grow to twice what is in use before it looks: with 200 devices that is 104 MiB in place of 79. The young generation's size has to be
 * known before Node begins: bin/headwater-bridge.
 */
const SMALL_HEAP = ['--heap-growing-percent=20']

const EXIT_CODES: Readonly<Record<string, number>> = {
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
  async configShow(key, options) {
    const { showConfig } = await import('./broker/operations/commands/config.ts')
    const { BridgeSchema } = await import('./firmware-bridge/config/schema.ts')
    showConfig(out, BridgeSchema, await loaded(options), { ...options, key })
    return ExitCode.ok
  },
  async configSchema(file) {
    await writeSchema(file)
    if (file !== '-') out.line(`wrote ${file}`)
    return ExitCode.ok
  },
  async configMigrate(file, options) {
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

async function loaded(options: Located): Promise<LoadedBridgeConfig> {
  const result = await load(options)
  if (!result.ok) throw new ConfigProblems(result.problems)
  return result
}

async function start(args: readonly string[]): Promise<void> {
  const plan = await planApart<StartedWith>(OWN_FILES.bridge, args)
  if (plan === null) return
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
  await sendPlan(plan, () => out.json(plan))
  return ExitCode.ok
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
  const { buildBridgeProgram } = await import('./firmware-bridge/commands/program.ts')
  const { usageExitCode } = await import('./broker/operations/terminal/shared-words.ts')
  const { askingForHelp } = await import('./broker/operations/terminal/manual/usage.ts')
  const program = buildBridgeProgram(VERSION, actions, (code) => {
    process.exitCode = code
  })
  try {
    await program.parseAsync(askingForHelp(program, args), { from: 'user' })
  } catch (error) {
    const usage = usageExitCode(error)
    if (usage === null) throw error
    process.exitCode = usage
  }
}

await runMain('headwater-bridge', err, { start, complete, run: runProgram }, EXIT_CODES)
