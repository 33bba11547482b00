/** The broker's configuration: its schema, and what sync knows of its entries. How any is read: load-file.ts. */
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import type { Path } from './document.ts'
import { BROKER_NAMES } from './environment.ts'
import {
  type ConfiguredProgram,
  type FileOptions,
  type Loaded,
  loadFile,
  type RefusedConfig,
} from './load-file.ts'
import { MIGRATIONS, type Migration } from './migrations.ts'
import { ruleProblems, ruleWarnings } from './rules.ts'
import { type Config, configSchema, type DownlinkEntry, type UpstreamEntry } from './schema.ts'

export type { RefusedConfig } from './load-file.ts'

/** Looked for in this order when no file is named. */
export const CONFIG_FILES = ['headwater.yaml', '/etc/headwater/headwater.yaml'] as const

export const BROKER_PROGRAM: ConfiguredProgram = {
  command: 'headwater',
  files: CONFIG_FILES,
  fileVariable: 'HEADWATER_CONFIG',
  names: BROKER_NAMES,
  migrations: MIGRATIONS,
}

export interface LoadOptions extends FileOptions {
  /** What sync knows of its entries; without it any entry with a name and a kind passes. */
  readonly upstreams?: UpstreamRules | undefined
  /** The same of downlinks; without it any entry with a name passes. */
  readonly downlinks?: DownlinkRules | undefined
  /** In place of the real ones. */
  readonly migrations?: readonly Migration[]
}

export interface DownlinkRules {
  /** Of one entry. */
  readonly schema: TSchema
  /** What is wrong with an entry that the schema lets through; `path` is below the entry. */
  faults?(entry: DownlinkEntry, config: Config): EntryFault[]
}

export interface EntryFault {
  readonly path: Path
  readonly message: string
  readonly hint: string
}

export interface UpstreamRules {
  /** Of one entry. */
  readonly schema: TSchema
  /** What is wrong with an entry that the schema lets through; `path` is below the entry. */
  faults?(entry: UpstreamEntry): { readonly path: Path; readonly message: string; readonly hint: string }[]
}

export type LoadedConfig = Loaded<Config>

export function loadConfig(options: LoadOptions): LoadedConfig | RefusedConfig {
  const schema = configSchema(options.upstreams?.schema, options.downlinks?.schema)
  return loadFile<Config>(
    options.migrations === undefined ? BROKER_PROGRAM : { ...BROKER_PROGRAM, migrations: options.migrations },
    schema,
    {
      complete(config, given) {
        if (given.upstreams === undefined) config.upstreams = defaultUpstreams(config)
      },
      faults: (config) => [
        ...ruleProblems(config),
        ...upstreamFaults(config, options.upstreams),
        ...downlinkFaults(config, options.downlinks),
      ],
      warnings: ruleWarnings,
    },
    options,
  )
}

function upstreamFaults({ upstreams }: Config, rules: UpstreamRules | undefined) {
  return upstreams.flatMap((entry, index) =>
    (rules?.faults?.(entry) ?? []).map(({ path, message, hint }) => ({
      path: ['upstreams', index, ...path],
      message: `upstream "${entry.name}": ${message}`,
      hint,
    })),
  )
}

function downlinkFaults(config: Config, rules: DownlinkRules | undefined) {
  return config.downlinks.flatMap((entry, index) =>
    (rules?.faults?.(entry, config) ?? []).map(({ path, message, hint }) => ({
      path: ['downlinks', index, ...path],
      message: `downlink "${entry.name}": ${message}`,
      hint,
    })),
  )
}

/** The configuration without a file, for those who embed the broker and for tests. */
export function defaultConfig(data: string): Config {
  const loaded = loadConfig({ data, env: {}, file: '' })
  if (!loaded.ok) throw loaded.problems[0]
  return loaded.config
}

/** The archive follows the data directory, so that another --data never shares the first one's archive. */
function defaultUpstreams(config: Config): Config['upstreams'] {
  return config.upstreams.map((entry) => ({ ...entry, directory: join(config.data, 'upstream') }))
}
