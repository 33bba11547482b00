/** The installed command, as npm links it: `bin/headwater`. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { startSettings } from '../bench/start-settings.ts'
import { scratch } from './headwater.ts'

const COMMAND = fileURLToPath(new URL('../../bin/headwater', import.meta.url))
const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
})

/** A link to a link to it, as in a path. */
function linked(): { path: string; directory: string } {
  const directory = scratch()
  symlinkSync(COMMAND, join(directory, 'first'))
  symlinkSync(join(directory, 'first'), join(directory, 'headwater'))
  return { path: join(directory, 'headwater'), directory }
}

/** @returns what it has printed by its first line that has this text */
async function start(path: string, directory: string, env: NodeJS.ProcessEnv = {}) {
  const args = ['start', '--data', join(directory, 'data')]
  const child = spawn(path, args, {
    cwd: directory,
    env: { ...process.env, HEADWATER_MQTT_LISTENERS: '127.0.0.1:0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let text = ''
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaints += chunk
  })
  for await (const chunk of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (text.includes('Ctrl-C')) break
  }
  return { pid: child.pid!, text, complaints }
}

describe('the command', () => {
  it('is the one that package.json installs', () => {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
    const { bin, files } = JSON.parse(text) as { bin: Record<string, string>; files: string[] }
    expect(bin.headwater).toBe('bin/headwater')
    expect(files).toContain('bin')
  })

  it('runs through links, and its hints name it as it was called', async () => {
    const { path, directory } = linked()
    expect(execFileSync(path, ['--version'], { encoding: 'utf8' })).toMatch(/^\d+\.\d+\.\d+/)
    const { text, complaints } = await start(path, directory)
    expect(complaints).not.toContain('HEADWATER_PROGRAM')
    expect(text).toMatch(/^read +headwater read events --follow --data /m)
    const own = await start(COMMAND, scratch())
    expect(own.text).toMatch(/^read +\S+\/bin\/headwater read events --follow/m)
  })

  it('hands on the exit code and what it is given', () => {
    const { path, directory } = linked()
    const config = join(directory, 'it is "quoted" $HOME.yaml')
    expect(() => execFileSync(path, ['check', config], { stdio: 'pipe' })).toThrow(/it is "quoted" \$HOME/)
  })

  it.runIf(existsSync('/proc/self/cmdline'))('starts the broker with the settings of npm start', async () => {
    const { path, directory } = linked()
    const { environment, flags } = startSettings()
    const { pid } = await start(path, directory)
    const words = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0')
    expect(words('cmdline').slice(1, 1 + flags.length)).toEqual(flags)
    expect(words('environ')).toEqual(
      expect.arrayContaining(Object.entries(environment).map(([name, value]) => `${name}=${value}`)),
    )
    const other = await start(path, scratch(), { MALLOC_ARENA_MAX: '4' })
    expect(readFileSync(`/proc/${other.pid}/environ`, 'utf8').split('\0')).toContain('MALLOC_ARENA_MAX=4')
  })
})
