/** Eclipse Mosquitto where it is installed, set up for speed: no persistence, no limits on what is in flight. */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { freePort } from '../../support/kafka/ports.ts'
import { startProgram } from '../children.ts'
import type { Scratch } from '../scratch.ts'
import { running, type Server } from './server.ts'

/** Debian keeps it where only root looks for programs. */
const SYSTEM_PATHS = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin']

/** @returns null where it is not installed. */
export function mosquitto(scratch: Scratch): Server | null {
  const program = findProgram('mosquitto')
  if (program === null) return null
  return {
    name: `mosquitto ${versionOf(program)}`,
    acknowledges: 'from memory',
    async start() {
      const port = await freePort()
      const config = `${scratch.fresh('mosquitto')}.conf`
      writeFileSync(config, configuration(port))
      return running(startProgram(program, ['-c', config]), port, () => scratch.discard(config))
    },
  }
}

function configuration(port: number): string {
  return [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'set_tcp_nodelay true',
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'persistence false',
    'log_dest stderr',
    'log_type error',
    '',
  ].join('\n')
}

function versionOf(program: string): string {
  // it prints its help and ends with an error code
  let help = ''
  try {
    help = execFileSync(program, ['-h'], { encoding: 'utf8' })
  } catch (error) {
    help = String((error as { stdout?: string }).stdout)
  }
  return /version (\S+)/.exec(help)?.[1] ?? ''
}

function findProgram(name: string): string | null {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_PATHS]
  return directories.map((directory) => join(directory, name)).find(isExecutable) ?? null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
