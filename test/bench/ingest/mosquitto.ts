/** Eclipse Mosquitto where it is installed, set up for speed: no persistence, no limits on what is in flight. */
import { execFile, execFileSync } from 'node:child_process'
import { accessSync, chmodSync, constants, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/kafka/ports.ts'
import { startProgram } from '../children.ts'
import type { Scratch } from '../scratch.ts'
import { credentialsOf, type Manner, MOSQUITTO_RULES } from './manner.ts'
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
    async start(manner) {
      const port = await freePort()
      const directory = scratch.fresh('mosquitto')
      // it gives up root, and must read its files all the same
      mkdirSync(directory)
      chmodSync(scratch.path, 0o755)
      const config = join(directory, 'mosquitto.conf')
      const door = await doorLines(manner, directory)
      writeFileSync(config, [...configuration(port), ...door, ''].join('\n'))
      return running(startProgram(program, ['-c', config]), port, () => scratch.discard(directory))
    },
  }
}

/** Its users and rules where it is guarded. */
async function doorLines(manner: Manner, directory: string): Promise<string[]> {
  const credentials = credentialsOf(manner)
  if (credentials === null) return ['allow_anonymous true']
  const [passwords, rules] = [join(directory, 'passwords'), join(directory, 'rules')]
  const made = ['-b', '-c', passwords, credentials.name, credentials.password]
  await promisify(execFile)('mosquitto_passwd', made)
  writeFileSync(rules, MOSQUITTO_RULES)
  for (const file of [passwords, rules]) chmodSync(file, 0o644)
  return ['allow_anonymous false', `password_file ${passwords}`, `acl_file ${rules}`]
}

function configuration(port: number): string[] {
  return [
    `listener ${port} 127.0.0.1`,
    'set_tcp_nodelay true',
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'persistence false',
    'log_dest stderr',
    'log_type error',
  ]
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
