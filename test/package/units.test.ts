/** The units by systemd's own judgement, where it is installed, and the scripts by shellcheck's. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isOnPath } from '../support/programs.ts'

const DEPLOY = fileURLToPath(new URL('../../deploy/raspberry-pi/', import.meta.url))
const TESTS = fileURLToPath(new URL('./', import.meta.url))
const UNITS = ['headwater.service', 'headwater-bridge.service']
/** The project's goal; 0 is a service that can do nothing at all. */
const EXPOSURE_MAX = 2

/** What a program prints, on both of its outputs, whatever it ends with. */
function printed(program: string, args: readonly string[]): string {
  try {
    return execFileSync('sh', ['-c', '"$0" "$@" 2>&1', program, ...args], { encoding: 'utf8' })
  } catch (error) {
    return String((error as { stdout?: string }).stdout)
  }
}

let directory: string
/** With a program that is there, which the installed one is not. */
const copyOf = (unit: string) => join(directory, unit)
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-units-'))
  for (const unit of UNITS) {
    const text = readFileSync(join(DEPLOY, 'systemd', unit), 'utf8')
    writeFileSync(copyOf(unit), text.replaceAll(/\/usr\/bin\/headwater(-bridge)?/g, '/bin/true'))
  }
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe.skipIf(!isOnPath('systemd-analyze'))('by systemd-analyze', () => {
  it.each(UNITS)('%s has nothing that systemd does not understand', (unit) => {
    expect(printed('systemd-analyze', ['verify', copyOf(unit)])).toBe('')
  })

  it('a key that systemd does not know would be seen', () => {
    const wrong = join(directory, 'wrong.service')
    writeFileSync(wrong, readFileSync(copyOf(UNITS[0]!), 'utf8').replace('[Service]', '[Service]\nTypo=yes'))
    expect(printed('systemd-analyze', ['verify', wrong])).toContain('Typo')
  })

  it.each(UNITS)('%s is exposed by less than the project allows', (unit) => {
    const text = printed('systemd-analyze', ['security', '--offline=true', '--no-pager', copyOf(unit)])
    const [, exposure] = /Overall exposure level for \S+ ([0-9.]+)/.exec(text) ?? []
    expect(Number(exposure)).toBeGreaterThan(0)
    expect(Number(exposure)).toBeLessThan(EXPOSURE_MAX)
  })
})

describe('the units', () => {
  it.each(UNITS)(
    '%s is told of by a child, has a watchdog, and is not tried again with a bad configuration',
    (unit) => {
      const text = readFileSync(join(DEPLOY, 'systemd', unit), 'utf8')
      for (const line of [
        'Type=notify',
        'NotifyAccess=all',
        'Restart=on-failure',
        // ExitCode.usage
        'RestartPreventExitStatus=2',
        'User=headwater',
        'StateDirectoryMode=0700',
      ]) {
        expect(text.split('\n')).toContain(line)
      }
      expect(text).toMatch(/^WatchdogSec=[0-9]+$/m)
      expect(text).toMatch(/^MemoryMax=[0-9]+M$/m)
      // V8 compiles at run time
      expect(text).not.toMatch(/^MemoryDenyWriteExecute=/m)
    },
  )
})

describe.skipIf(!isOnPath('shellcheck'))('by shellcheck', () => {
  const scripts = [
    ...['build.sh', 'headwater-release', 'install.sh'].map((name) => join(DEPLOY, name)),
    ...['preinst', 'postinst', 'prerm', 'postrm', 'config'].map((name) => join(DEPLOY, 'debian', name)),
    ...['run.sh', 'arm.sh', 'guest.sh', 'guest/person.sh'].map((name) => join(TESTS, name)),
  ]
  it.each(scripts.map((path) => [basename(path), path]))('%s has no fault', (_name, path) => {
    expect(printed('shellcheck', ['-x', '--severity=warning', path])).toBe('')
  })
})
