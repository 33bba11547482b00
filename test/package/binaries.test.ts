/** What is asked of each binary before it goes into a package, by the script that asks it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isOnPath } from '../support/programs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SCRIPT = join(ROOT, 'deploy/raspberry-pi/build/binaries.sh')
const PREINST = join(ROOT, 'deploy/raspberry-pi/debian/preinst')
/** What npm brings has them for all architectures. */
const LEVEL = join(ROOT, 'node_modules/classic-level/prebuilds')
const ARM64 = join(LEVEL, 'linux-arm64/classic-level.armv8.node')
/** It asks for GLIBC 2.34. */
const ARMV7 = join(LEVEL, 'linux-arm/classic-level.armv7.node')

const canCheck = ['readelf', 'dpkg'].every(isOnPath)

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-binaries-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function check(architecture: string): { status: number | null; said: string } {
  const script = `set -euo pipefail; fail() { echo "$*"; exit 1; }; . "$0"; check_binaries "$1" "$2"`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script, SCRIPT, architecture, directory], {
    encoding: 'utf8',
  })
  return { status, said: stdout + stderr }
}

/** ELF64: e_phoff at 32, e_phentsize at 54, e_phnum at 56; p_type at 0 (1 is LOAD), p_align at 48. */
function alignedTo(bytes: bigint, binary: Buffer): Buffer {
  const [table, size, count] = [
    Number(binary.readBigUInt64LE(32)),
    binary.readUInt16LE(54),
    binary.readUInt16LE(56),
  ]
  for (let at = table; at < table + size * count; at += size) {
    if (binary.readUInt32LE(at) === 1) binary.writeBigUInt64LE(bytes, at + 48)
  }
  return binary
}

describe.skipIf(!canCheck)('the binaries of a package', () => {
  it('are taken when any kernel of their architecture loads them', () => {
    copyFileSync(ARM64, join(directory, 'level.node'))
    writeFileSync(join(directory, 'level.js'), '// no binary')
    expect(check('arm64')).toEqual({ status: 0, said: '' })
  })

  it.each([4096n, 16_384n])('are refused on arm64 when their segments are aligned to %i bytes', (bytes) => {
    writeFileSync(join(directory, 'level.node'), alignedTo(bytes, readFileSync(ARM64)))
    const { status, said } = check('arm64')
    expect(said).toContain(`level.node has segments aligned to ${bytes} bytes`)
    expect(status).toBe(1)
  })

  it('are refused when they ask for a C library that is newer than that of the oldest system', () => {
    copyFileSync(ARMV7, join(directory, 'level.node'))
    const { status, said } = check('amd64')
    expect(said).toContain('level.node asks for GLIBC 2.34')
    expect(status).toBe(1)
  })

  it('may ask for that much where the package brings its C library', () => {
    copyFileSync(ARMV7, join(directory, 'level.node'))
    // one that defines all versions up to its own, as C libraries do; of which architecture is all the same here
    const own = execFileSync(
      'sh',
      ['-c', 'ldd "$0" | grep -o "/[^ ]*/lib[cs][^ ]*\\.so\\.6"', process.execPath],
      {
        encoding: 'utf8',
      },
    )
    for (const path of own.trim().split('\n')) copyFileSync(path, join(directory, path.split('/').at(-1)!))
    expect(check('armhf')).toEqual({ status: 0, said: '' })
  })

  it('are missed when there are none', () => {
    expect(check('arm64')).toEqual({ status: 1, said: expect.stringContaining('no binary is below') })
  })
})

describe('on an ARMv6, which calls itself armhf as well', () => {
  const preinst = (machine: string) => {
    writeFileSync(join(directory, 'uname'), `#!/bin/sh\necho ${machine}\n`, { mode: 0o755 })
    return spawnSync('sh', [PREINST, 'install'], {
      encoding: 'utf8',
      env: { PATH: `${directory}:${process.env.PATH}` },
    })
  }

  it('the package says which boards it is for, and is not installed', () => {
    const { status, stderr } = preinst('armv6l')
    expect(status).toBe(1)
    expect(stderr).toMatch(/ARMv6.*ARMv7.*Pi 2/)
  })

  it.each(['armv7l', 'aarch64', 'x86_64'])('it is on %s', (machine) => {
    expect(preinst(machine)).toMatchObject({ status: 0, stderr: '' })
  })
})
