/** Headwater as `npm start` runs it: the same command, its own data directory, no upstream. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../support/kafka/ports.ts'
import { startProgram } from '../children.ts'
import type { Scratch } from '../scratch.ts'
import { startSettings } from '../start-settings.ts'
import { credentialsOf, type Manner, PERMISSIONS, QUOTAS } from './manner.ts'
import { type RunningServer, running, type Server } from './server.ts'

const COMMAND_LINE = fileURLToPath(new URL('../../../cli.js', import.meta.url))
const BROKER_WORKER = fileURLToPath(new URL('./headwater-worker.js', import.meta.url))

/** @param nodeFlags beside those of the start script, such as `--cpu-prof` */
export function headwater(scratch: Scratch, nodeFlags: readonly string[]): Server {
  return {
    name: 'headwater',
    acknowledges: 'after fsync',
    start: (manner) => startHeadwater(scratch, nodeFlags, { manner }),
  }
}

interface StartOptions {
  /** A data directory that is there already, and stays; by default one of its own. */
  readonly data?: string
  readonly manner?: Manner
  /** Of the configuration, beside data and listener. */
  readonly settings?: object
}

export async function startHeadwater(
  scratch: Scratch,
  nodeFlags: readonly string[],
  { data, manner = 'plain', settings = {} }: StartOptions = {},
): Promise<RunningServer> {
  const directory = scratch.fresh('headwater')
  const port = await freePort()
  mkdirSync(directory)
  const config = join(directory, 'headwater.yaml')
  writeFileSync(config, configuration(data ?? join(directory, 'data'), port, manner, settings))
  const { environment, flags } = startSettings()
  const program = existsSync(COMMAND_LINE)
    ? [COMMAND_LINE, 'start', '--config', config]
    : [BROKER_WORKER, config]
  const env = { ...withoutOurs(process.env), ...environment }
  addUser(manner, config, env)
  const started = startProgram(process.execPath, [...flags, ...nodeFlags, ...program], env)
  const server = await running(started, port, () => scratch.discard(directory))
  return { ...server, records: () => recordsOf(config, env) }
}

function addUser(manner: Manner, config: string, env: NodeJS.ProcessEnv): void {
  const credentials = credentialsOf(manner)
  if (credentials === null) return
  const args = [COMMAND_LINE, 'users', 'add', credentials.name, '--config', config]
  const { status, stderr } = spawnSync(process.execPath, args, { env, input: credentials.password })
  if (status !== 0) throw new Error(`headwater users add: ${stderr}`)
}

async function recordsOf(config: string, env: NodeJS.ProcessEnv): Promise<number> {
  const args = [COMMAND_LINE, 'streams', '--json', '--config', config]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  const { streams } = JSON.parse(stdout) as { streams: { records: number }[] }
  return streams.reduce((sum, { records }) => sum + records, 0)
}

/** JSON is YAML. */
function configuration(data: string, port: number, manner: Manner, settings: object): string {
  const listeners = [{ address: `127.0.0.1:${port}` }]
  const open = { data, mqtt: { listeners }, upstreams: [], ...settings }
  if (manner === 'plain') return JSON.stringify(open)
  return JSON.stringify({ ...open, mqtt: { listeners, permissions: PERMISSIONS }, limits: QUOTAS })
}

/** A setting in the caller's environment would win over the file. */
function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('HEADWATER_')))
}
