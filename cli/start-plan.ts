/**
 * What `start` is to run with. The command line and the configuration are read by a child process that ends before the broker begins: their libraries
 * (commander, TypeBox, YAML) take 15 MB, and a broker that runs for years does not carry what it needs for a fifth of a
 * second. Measured: a thread in its place keeps 2 MB of them.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Config } from '../broker/config/schema.ts'
import type { CommandContext, ConfigOptions } from '../broker/operations/commands/context.ts'
import { ExitCode } from '../broker/operations/exit-codes.ts'
import { OWN_FILES } from '../broker/own-files.ts'

export type StartOptions = ConfigOptions & { readonly demo: boolean }

/** What a child process read for `start` from the command line and the configuration. */
export interface StartPlan {
  readonly options: StartOptions
  readonly config: Config
  readonly file: string | null
  /** http.address was written by somebody: a port that is taken is a fault then. */
  readonly isHttpGiven: boolean
  readonly warnings: readonly string[]
  /** Keys whose values no output shows. */
  readonly secretKeys: readonly string[]
}

/** The command by which `start` calls itself. */
export const PLAN_COMMAND = 'plan-start'

/** Of a child's complaints. */
const COMPLAINTS_CHARACTERS_MAX = 65_536

/** @returns null when the child has said it all: help, or what is wrong. */
export async function planApart(args: readonly string[]): Promise<StartPlan | null> {
  const child = fork(OWN_FILES.broker, [PLAN_COMMAND, ...args], { execArgv: [] })
  let plan: StartPlan | null = null
  child.once('message', (message) => {
    plan = message as StartPlan
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  if (signal !== null) throw new Error(`reading the configuration was ended by ${signal}`)
  if (plan === null) process.exitCode = code ?? ExitCode.failed
  return plan
}

/** For `reload`: what the same command line gives now. @throws ReloadRefusedError */
export async function readAgain(): Promise<StartPlan> {
  const args = [PLAN_COMMAND, ...process.argv.slice(3)]
  const stdio = ['ignore', 'ignore', 'pipe', 'ipc'] as const
  const child = fork(OWN_FILES.broker, args, { execArgv: [], stdio: [...stdio] })
  let plan: StartPlan | null = null
  let complaints = ''
  child.once('message', (message) => {
    plan = message as StartPlan
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(0, COMPLAINTS_CHARACTERS_MAX)
  })
  await once(child, 'close')
  if (plan !== null) return plan
  const { ReloadRefusedError } = await import('../broker/operations/errors.ts')
  const lines = complaints.split('\n').filter((line) => line !== '')
  throw new ReloadRefusedError(lines.map((line) => line.replace(/^headwater: (HW_CONFIG: )?/, '')))
}

/** In the child. */
export async function planStart(context: CommandContext, options: StartOptions): Promise<number> {
  const { loadedConfig } = await import('../broker/operations/commands/context.ts')
  const { config, file, warnings, isGiven } = await loadedConfig(context, options)
  const { DownlinkSchema, UpstreamSchema } = await import('../sync/config.ts')
  const { configSchema } = await import('../broker/config/schema.ts')
  const { secretKeys, withoutSecrets } = await import('../broker/config/secret-keys.ts')
  const schema = configSchema(UpstreamSchema, DownlinkSchema)
  const isHttpGiven = isGiven(['http', 'address'])
  const plan: StartPlan = {
    options,
    config,
    file,
    isHttpGiven,
    warnings,
    secretKeys: [...secretKeys(schema)],
  }
  if (process.send === undefined) {
    context.out.json({ ...plan, config: withoutSecrets(schema, config) })
  } else await new Promise((resolve) => process.send!(plan, resolve))
  if (process.connected) process.disconnect()
  return ExitCode.ok
}
