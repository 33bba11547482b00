/**
 * headwater-release, by which an installation changes what runs, cut off before each of its steps in turn: `current` leads to a whole release at
 * each moment, and doing it once more comes to the end. Without a systemd; with one: guest.sh.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { placeOf } from '../support/programs.ts'

const SCRIPT = fileURLToPath(new URL('../../deploy/raspberry-pi/headwater-release', import.meta.url))
/** The steps: each changes something. */
const STEPS = ['cp', 'ln', 'mv', 'rm', 'sync']

let home: string
const opt = (...path: string[]) => join(home, 'opt', ...path)
const textOf = (...path: string[]) => readFileSync(opt(...path), 'utf8').trim()

function stub(name: string, text: string): void {
  writeFileSync(join(home, 'bin', name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
}

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'headwater-release-'))
  mkdirSync(join(home, 'bin'))
  mkdirSync(opt())
  const text = readFileSync(SCRIPT, 'utf8').replaceAll('/opt/headwater', opt())
  writeFileSync(join(home, 'headwater-release'), text.replaceAll('/run/systemd/system', join(home, 'none')))
  stub('id', 'echo 0')
  for (const step of STEPS)
    stub(
      step,
      `taken=$(($(cat '${home}/taken') + 1)); echo $taken >'${home}/taken'
if [ $taken = "$CUT" ]; then kill -KILL $PPID; exit; fi
exec ${placeOf(step)} "$@"`,
    )
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

/** As dpkg does: new files, in the place of the old ones. */
function unpack(version: string, build = 'one'): void {
  rmSync(opt('package'), { recursive: true, force: true })
  mkdirSync(opt('package/app'), { recursive: true })
  writeFileSync(opt('package/VERSION'), `${version}\n`)
  writeFileSync(opt('package/RUNTIME'), 'node\n')
  writeFileSync(opt('package/app/program'), `${version} ${build}\n`)
}

/** @param cut before which step it ends; 0: it does not */
function release(args: readonly string[], cut = 0): boolean {
  writeFileSync(join(home, 'taken'), '0')
  const env = { PATH: `${join(home, 'bin')}:${process.env.PATH}`, CUT: String(cut) }
  const { status, signal, stderr } = spawnSync('sh', [join(home, 'headwater-release'), ...args], {
    env,
    encoding: 'utf8',
  })
  if (signal === null) expect(status, stderr).toBe(0)
  return signal === null
}

/** What `prepare` leaves is changed by `args`, cut off before the first, the second, ... step. @returns how many steps there were */
function cutAtEach(prepare: () => void, args: readonly string[], check: (moment: string) => void): number {
  for (let cut = 1; ; cut++) {
    rmSync(opt(), { recursive: true, force: true })
    mkdirSync(opt())
    prepare()
    const isDone = release(args, cut)
    check(`before step ${cut}`)
    if (isDone) return cut - 1
    release(args)
    check(`done again after a cut before step ${cut}`)
  }
}

const installed = (version: string) => {
  unpack(version)
  release(['install', ''])
}

describe.runIf(process.platform === 'linux')('headwater-release', () => {
  it('has a whole release to start at each moment of an upgrade', () => {
    const steps = cutAtEach(
      () => {
        installed('1')
        unpack('2')
      },
      ['install', '1'],
      (moment) => expect(['1 one', '2 one'], moment).toContain(textOf('current/app/program')),
    )
    expect(steps).toBeGreaterThan(5)
    expect(textOf('current/app/program')).toBe('2 one')
    expect(readlinkSync(opt('previous'))).toBe('releases/1')
    expect(existsSync(opt('.current.new'))).toBe(false)
  })

  it('and of a way back', () => {
    const prepare = () => {
      installed('1')
      unpack('2')
      release(['install', '1'])
    }
    cutAtEach(prepare, ['use', '1'], (moment) =>
      expect(['1 one', '2 one'], moment).toContain(textOf('current/app/program')),
    )
    expect(textOf('current/app/program')).toBe('1 one')
    expect(readlinkSync(opt('previous'))).toBe('releases/2')
  })

  // `dpkg --configure -a` after a power cut
  it('leaves a release where it is that is configured once more', () => {
    cutAtEach(
      () => installed('1'),
      ['install', '1'],
      (moment) => expect(textOf('current/app/program'), moment).toBe('1 one'),
    )
    installed('1')
    const before = statSync(opt('releases/1')).ino
    release(['install', '1'])
    expect(statSync(opt('releases/1')).ino).toBe(before)
  })

  it('takes another build of a version for another one', () => {
    installed('1')
    unpack('1', 'two')
    release(['install', '1'])
    expect(textOf('current/app/program')).toBe('1 two')
    expect(existsSync(opt('releases/1.old'))).toBe(false)
  })

  it('keeps one release to go back to', () => {
    for (const version of ['1', '2', '3']) {
      unpack(version)
      release(['install', version === '1' ? '' : String(Number(version) - 1)])
    }
    expect(existsSync(opt('releases/1'))).toBe(false)
    expect(readlinkSync(opt('previous'))).toBe('releases/2')
  })
})
