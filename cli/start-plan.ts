/** What `start` and `reload` of the broker are to run with, read by a child process (broker/operations/plan-apart.ts). */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Config } from '../broker/config/schema.ts'
import type { CommandContext, ConfigOptions } from '../broker/operations/commands/context.ts'
import { ExitCode } from '../broker/operations/exit-codes.ts'
import { PLAN_COMMAND, sendPlan } from '../broker/operations/plan-apart.ts'
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

/** Of a child's complaints. */
const COMPLAINTS_CHARACTERS_MAX = 65_536

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
  await sendPlan(plan, () => context.out.json({ ...plan, config: withoutSecrets(schema, config) }))
  return ExitCode.ok
}
