#!/usr/bin/env node
/**
 * The composition root: argv -> command. With the files in cli/ the only one that imports all modules, each when it is needed: what `start`
 * does not use stays out of the broker's memory.
 */
import { relative, resolve } from 'node:path'
import type { LoadedConfig, RefusedConfig } from './broker/config/load.ts'
import type { CommandContext, ConfigOptions } from './broker/operations/commands/context.ts'
import type { Actions } from './broker/operations/commands/program.ts'
import { ExitCode } from './broker/operations/exit-codes.ts'
import { planApart } from './broker/operations/plan-apart.ts'
import { interrupted, runMain } from './broker/operations/program-process.ts'
import { Output } from './broker/operations/terminal/output.ts'
import { OWN_FILES } from './broker/own-files.ts'
import { VERSION } from './broker/version.ts'
import { planStart, readAgain, type StartPlan } from './cli/start-plan.ts'
import { startSync } from './cli/start-sync.ts'
import type { UpstreamConfig } from './sync/index.ts'

/** Of standard input. */
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
  openLog: async (directory) => (await import('./broker/open-log.ts')).openLog(directory),
}

const actions: Actions = {
  // Never called in the process that becomes the broker: see `start`.
  start: (options) => planStart(context, options),
  async init(file, { force }) {
    const { runInit } = await import('./broker/operations/commands/init.ts')
    return runInit(context, { file, force, schema: await wholeSchema() })
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
  async configShow(key, options) {
    const { loadedConfig } = await import('./broker/operations/commands/context.ts')
    const { showConfig } = await import('./broker/operations/commands/config.ts')
    showConfig(out, await wholeSchema(), await loadedConfig(context, options), { ...options, key })
    return ExitCode.ok
  },
  async configSchema(file) {
    const { writeSchema } = await import('./broker/operations/commands/init.ts')
    return writeSchema(context, file, await wholeSchema())
  },
  async configMigrate(file, options) {
    const { loadedConfig } = await import('./broker/operations/commands/context.ts')
    const { migrateConfig } = await import('./broker/operations/commands/config.ts')
    const { MIGRATIONS } = await import('./broker/config/migrations.ts')
    const loaded = await loadedConfig(context, { ...options, config: file ?? options.config })
    return migrateConfig(out, loaded, { ...options, program: 'headwater', migrations: MIGRATIONS })
  },
  async status(options) {
    return (await import('./broker/operations/commands/status.ts')).runStatus(context, options)
  },
  async top(options) {
    const { runTop } = await import('./broker/operations/commands/top.ts')
    return runTop(context, options, process.stdin.isTTY ? process.stdin : null)
  },
  async clients(options) {
    return (await import('./broker/operations/commands/clients.ts')).runClients(context, options)
  },
  async disconnect(clientId, options) {
    return (await import('./broker/operations/commands/clients.ts')).runDisconnect(context, clientId, options)
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
  async logAcknowledge(options) {
    const { runLogAcknowledge } = await import('./broker/operations/commands/log-acknowledge.ts')
    return runLogAcknowledge(context, options)
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
  async doctor(options) {
    const { runDoctor } = await import('./broker/operations/commands/doctor.ts')
    const { examineLink } = await import('./sync/index.ts')
    return runDoctor(context, options, (entry, clock) =>
      // The schema of these entries is sync's: the configuration was checked with it.
      examineLink(entry as unknown as UpstreamConfig, {
        env: process.env,
        readClock: () => ({ now: Date.now(), ...clock }),
      }),
    )
  },
  async bench(options) {
    return (await import('./broker/operations/commands/bench.ts')).runBench(context, options)
  },
  async completion(shell) {
    const { completionScript } = await import('./broker/operations/terminal/completion/scripts.ts')
    out.raw(completionScript(shell, 'headwater'))
    return ExitCode.ok
  },
  async man(program, { markdown }) {
    const { PROGRAM_FACTS } = await import('./broker/operations/commands/program-facts.ts')
    const { runManual } = await import('./broker/operations/terminal/manual/run.ts')
    runManual(out, program, PROGRAM_FACTS, { version: VERSION, seeAlso: ['headwater-bridge'] }, markdown)
    return ExitCode.ok
  },
}

/** Of the configuration, with what sync knows of its entries. */
async function wholeSchema() {
  const { configSchema } = await import('./broker/config/schema.ts')
  const { DownlinkSchema, UpstreamSchema } = await import('./sync/config.ts')
  return configSchema(UpstreamSchema, DownlinkSchema)
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

async function start(args: readonly string[]): Promise<void> {
  const plan = await planApart<StartPlan>(OWN_FILES.broker, args)
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

function onHangUp(reload: () => void): () => void {
  process.on('SIGHUP', reload)
  return () => process.off('SIGHUP', reload)
}

// -- the process ----------------------------------------------------------------------------------------------------

/** How this program is called, for hints that can be copied. */
function programName(): string {
  // said by bin/headwater
  const command = process.env.HEADWATER_PROGRAM
  if (command !== undefined) {
    return resolve(command) === OWN_FILES.command ? relative(process.cwd(), OWN_FILES.command) : 'headwater'
  }
  // Not `npx headwater`: for a package's own command npx installs the package anew, and not always well.
  return `node ${relative(process.cwd(), process.argv[1] ?? '')}`
}

/** For a shell's script: nothing that goes wrong is worth a word there. */
async function complete(words: readonly string[]): Promise<void> {
  const { buildProgram } = await import('./broker/operations/commands/program.ts')
  const { completeWords } = await import('./broker/operations/commands/complete.ts')
  await completeWords(
    context,
    buildProgram(VERSION, actions, () => {}),
    words,
  )
  // a question that is still under way is not waited for
  process.stdout.write('', () => process.exit())
}

async function runProgram(args: readonly string[]): Promise<void> {
  const { buildProgram } = await import('./broker/operations/commands/program.ts')
  const { usageExitCode } = await import('./broker/operations/terminal/shared-words.ts')
  const { askingForHelp } = await import('./broker/operations/terminal/manual/usage.ts')
  const program = buildProgram(VERSION, actions, (code) => {
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

await runMain('headwater', err, { start, complete, run: runProgram })
