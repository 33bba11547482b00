/** Headwater as `npm start` runs it: the same command, its own data directory, no upstream. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../support/kafka/ports.ts'
import { startProgram } from '../children.ts'
import type { Scratch } from '../scratch.ts'
import { startSettings } from '../start-settings.ts'
import { type RunningServer, running, type Server } from './server.ts'

const COMMAND_LINE = fileURLToPath(new URL('../../../cli.js', import.meta.url))
const BROKER_WORKER = fileURLToPath(new URL('./headwater-worker.js', import.meta.url))

/** @param nodeFlags beside those of the start script, such as `--cpu-prof` */
export function headwater(scratch: Scratch, nodeFlags: readonly string[]): Server {
  return {
    name: 'headwater',
    acknowledges: 'after fsync',
    start: () => startHeadwater(scratch, nodeFlags),
  }
}

/**
 * @param data a data directory that is there already, and stays; by default one of its own
 * @param settings lines of the configuration beside those of data and listener
 */
export async function startHeadwater(
  scratch: Scratch,
  nodeFlags: readonly string[],
  data?: string,
  settings: readonly string[] = ['upstreams: []'],
): Promise<RunningServer> {
  const directory = scratch.fresh('headwater')
  const port = await freePort()
  mkdirSync(directory)
  const config = join(directory, 'headwater.yaml')
  writeFileSync(config, configuration(data ?? join(directory, 'data'), port, settings))
  const { environment, flags } = startSettings()
  const program = existsSync(COMMAND_LINE)
    ? [COMMAND_LINE, 'start', '--config', config]
    : [BROKER_WORKER, config]
  const env = { ...withoutOurs(process.env), ...environment }
  const started = startProgram(process.execPath, [...flags, ...nodeFlags, ...program], env)
  return running(started, port, () => scratch.discard(directory))
}

function configuration(data: string, port: number, settings: readonly string[]): string {
  return [
    `data: ${JSON.stringify(data)}`,
    'mqtt:',
    `  listeners: [{ address: "127.0.0.1:${port}" }]`,
    ...settings,
    '',
  ].join('\n')
}

/** A setting in the caller's environment would win over the file. */
function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('HEADWATER_')))
}
