/** What a command is given. The command line makes it; tests make their own. */
import { resolve } from 'node:path'
import type { LoadedConfig, RefusedConfig } from '../../config/load.ts'
import type { ConfigError } from '../../errors.ts'
import type { OpenedLog } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import type { Located } from '../terminal/words.ts'

export interface CommandContext {
  readonly out: Output
  readonly err: Output
  readonly env: NodeJS.ProcessEnv
  /** Aborted by SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  /** Asks the person at the terminal; none where nobody sits there. */
  confirm?(question: string): Promise<boolean>
  /** Asks the person at the terminal for what is not to be shown; none where nobody sits there. */
  askSecret?(question: string): Promise<string>
  /** All of standard input. */
  readInput?(): Promise<Buffer>
  /** Loads the configuration with the schemas of all modules. */
  loadConfig(options: ConfigOptions): Promise<LoadedConfig | RefusedConfig>
  /** Opens the log of a data directory that no broker runs on. */
  openLog(directory: string): Promise<OpenedLog>
}

/** The options by which every command finds its data directory. */
export type ConfigOptions = Located

/** The configuration is refused: all of its problems. */
export class ConfigProblems extends Error {
  override readonly name = 'ConfigProblems'
  readonly problems: readonly ConfigError[]
  constructor(problems: readonly ConfigError[]) {
    super(problems.map((problem) => problem.line).join('\n'))
    this.problems = problems
  }
}

/** @throws ConfigProblems */
export async function loadedConfig(context: CommandContext, options: ConfigOptions): Promise<LoadedConfig> {
  const loaded = await context.loadConfig(options)
  if (!loaded.ok) throw new ConfigProblems(loaded.problems)
  return loaded
}

/** --data names the directory by itself: a broken configuration does not keep anyone from looking at the data. */
export async function dataDirectoryOf(context: CommandContext, options: ConfigOptions): Promise<string> {
  if (options.data !== undefined) return resolve(options.data)
  return (await loadedConfig(context, options)).config.data
}
