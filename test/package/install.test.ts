/**
 * install.sh, on a machine whose apt-get only notes what it is asked to install: what it takes, from where, and what it refuses with one line. The same with
 * a real apt-get and a real systemd: test/package/guest.
 */
import { execFile, execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Mirror } from './mirror.ts'

const SCRIPT = fileURLToPath(new URL('../../deploy/raspberry-pi/install.sh', import.meta.url))
const missing = ['dpkg', 'dpkg-deb', 'curl', 'openssl', 'sha256sum', 'setsid'].filter((tool) => {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' })
    return false
  } catch {
    return true
  }
})
if (missing.length > 0) {
  const line = `install.sh is not tested here: ${missing.join(', ')} is not there`
  if (process.env.CI === 'true') throw new Error(line)
  process.stderr.write(`!!! ${line}\n`)
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let packages: string
let own: string
let mirror: Mirror
/** By name, such as headwater_0.1.0_arm64.deb. */
const built = new Map<string, Buffer>()

function build(name: string, version: string, architecture: string): void {
  const root = join(packages, `${name}-${version}-${architecture}`)
  mkdirSync(join(root, 'DEBIAN'), { recursive: true })
  const control = `Package: ${name}\nVersion: ${version}\nArchitecture: ${architecture}\nMaintainer: x <x@example.org>\nDescription: x\n`
  writeFileSync(join(root, 'DEBIAN/control'), control)
  const file = `${name}_${version}_${architecture}.deb`
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', root, join(packages, file)], {
    stdio: 'ignore',
  })
  built.set(file, readFileSync(join(packages, file)))
}

interface Machine {
  readonly user?: string
  readonly architecture?: string
  readonly processor?: string
  readonly osRelease?: string
  /** Of Headwater, installed already. */
  readonly installed?: string
  readonly env?: NodeJS.ProcessEnv
  /** Of the script, so many lines came here. */
  readonly lines?: number
}

interface Ran {
  readonly code: number
  readonly out: string
  /** All lines of standard error. */
  readonly errors: readonly string[]
  /** What apt-get was asked to install. */
  readonly installs: readonly string[]
  /** How dpkg was asked to finish what was begun before, and what could be read of an answer. */
  readonly configured: readonly string[]
}

let home: string
/** The process group of the script that runs. */
let running: number
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'headwater-install-'))
})
afterEach(() => {
  rmSync(home, { recursive: true, force: true })
})

function stub(name: string, script: string): void {
  const path = join(home, 'bin', name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
}

function install(args: readonly string[], machine: Machine = {}): Promise<Ran> {
  mkdirSync(join(home, 'bin'), { recursive: true })
  const { architecture = own, processor = 'aarch64', installed } = machine
  stub('id', `echo ${machine.user ?? 0}`)
  stub('uname', `echo ${processor}`)
  stub(
    'dpkg',
    `case $* in
      --print-architecture) echo ${architecture} ;;
      *--configure*) echo "$* $DEBIAN_FRONTEND $(cat)" >>'${home}/configured' ;;
      *) exec /usr/bin/dpkg "$@" ;;
    esac`,
  )
  stub('dpkg-query', installed === undefined ? 'exit 1' : `echo 'installed ${installed}'`)
  // what is installed is looked at where it then lies: it is gone with the script
  stub('apt-get', `for last; do :; done; dpkg-deb --field "$last" Package Version >>'${home}/installs'`)
  writeFileSync(
    join(home, 'os-release'),
    machine.osRelease ?? 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
  )
  const script = join(home, 'install.sh')
  const text = readFileSync(SCRIPT, 'utf8').replaceAll('/etc/os-release', join(home, 'os-release'))
  const whole = text.replaceAll('/run/systemd/system', join(home, 'no-systemd'))
  writeFileSync(script, whole.split('\n').slice(0, machine.lines).join('\n'))
  for (const notes of ['installs', 'configured']) rmSync(join(home, notes), { force: true })
  const env = {
    PATH: `${join(home, 'bin')}:${process.env.PATH}`,
    CURL_CA_BUNDLE: join(packages, 'ca.pem'),
    TMPDIR: home,
    ...machine.env,
  }
  return new Promise((resolve) => {
    const command = ['sh', script, ...args]
    const child = execFile('setsid', command, { env, cwd: packages }, (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code)
      const errors = stderr.split('\n').filter((line) => line !== '')
      resolve({ code, out: stdout, errors, installs: noted('installs'), configured: noted('configured') })
    })
    running = child.pid!
    // most end without a look at it
    child.stdin!.on('error', () => {}).end('an answer that nobody is to be asked for')
  })
}

/** Lines that the stubs have left. */
function noted(name: string): string[] {
  const path = join(home, name)
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
}

/** Nothing is installed, and one line says why. */
function expectRefused(ran: Ran, line: string | RegExp): void {
  expect({ code: ran.code, installs: ran.installs, lines: ran.errors.length }, ran.errors.join('\n')).toEqual(
    {
      code: 1,
      installs: [],
      lines: 1,
    },
  )
  expect(ran.errors[0]).toMatch(line)
}

const at = (path: string) => `https://localhost:${mirror.port}${path}`
const fileName = (version: string) => `headwater_${version}_${own}.deb`
const INSTALLED = (version: string) => ['Package: headwater', `Version: ${version}`]

describe.skipIf(missing.length > 0)('install.sh', () => {
  beforeAll(async () => {
    packages = mkdtempSync(join(tmpdir(), 'headwater-packages-'))
    own = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim()
    for (const version of ['0.1.0', '0.9.0', '0.10.0']) build('headwater', version, own)
    build('headwater', '0.1.0', 'ppc64el')
    build('other', '0.1.0', own)
    mirror = await Mirror.listen('localhost')
    writeFileSync(join(packages, 'ca.pem'), mirror.authority)
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const stranger = generateKeyPairSync('ed25519')
    writeFileSync(join(packages, 'key.pem'), publicKey.export({ type: 'spki', format: 'pem' }))
    writeFileSync(join(packages, 'stranger.pem'), stranger.publicKey.export({ type: 'spki', format: 'pem' }))
    for (const [name, body] of built) mirror.answers.set(`/m/${name}`, { body })
    const sums = [...built].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).join('')
    mirror.answers.set('/m/SHA256SUMS', { body: sums })
    mirror.answers.set('/m/SHA256SUMS.sig', { body: sign(null, Buffer.from(sums), privateKey) })
  }, 60_000)
  afterAll(async () => {
    await mirror?.close()
    rmSync(packages, { recursive: true, force: true })
  })

  describe('of a file', () => {
    it('installs it', async () => {
      const ran = await install([fileName('0.1.0')])
      expect(ran).toMatchObject({ code: 0, errors: [], installs: INSTALLED('0.1.0') })
      expect(ran.out).toContain('headwater 0.1.0 is installed')
    })

    it('compares a checksum that is given, in small letters or large', async () => {
      const sum = sha256(built.get(fileName('0.1.0'))!)
      expect(await install([fileName('0.1.0'), sum.toUpperCase()])).toMatchObject({ code: 0 })
      const other = 'a'.repeat(64)
      const ran = await install([fileName('0.9.0'), other], { env: { TMPDIR: home } })
      expect(ran.code).toBe(1)
      expect(ran.errors).toEqual([
        `install.sh: the checksum of ${fileName('0.9.0')} is ${sha256(built.get(fileName('0.9.0'))!)}, and not ${other}: nothing was installed`,
      ])
    })

    it('refuses what is not there, no package, another package, for another machine', async () => {
      expectRefused(await install(['none.deb']), /there is no file none\.deb$/)
      expectRefused(await install(['ca.pem']), /ca\.pem is no Debian package$/)
      expectRefused(await install([`other_0.1.0_${own}.deb`]), /is the package other$/)
      expectRefused(await install(['headwater_0.1.0_ppc64el.deb']), /is for ppc64el, this system is/)
    })

    // apt does not go on where the journal of dpkg was not taken over, of which `dpkg --audit` says nothing; and dpkg by itself asks about files
    it('has dpkg finish what an earlier run began, and nobody asked about files', async () => {
      const { configured } = await install([fileName('0.1.0')])
      expect(configured).toEqual(['--force-confdef --force-confold --configure -a noninteractive'])
    })

    it('refuses an older version than is installed, and names the way back', async () => {
      expectRefused(
        await install([fileName('0.9.0')], { installed: '0.10.0' }),
        /0\.10\.0 is installed, which is newer than 0\.9\.0: sudo headwater-release rollback/,
      )
    })
  })

  describe('of a mirror', () => {
    it('takes the newest for this machine, by the order of versions and not of letters', async () => {
      const ran = await install([at('/m/')])
      expect(ran).toMatchObject({ code: 0, errors: [], installs: INSTALLED('0.10.0') })
    })

    it('is named by the environment as well, and so is the version', async () => {
      const env = { HEADWATER_SOURCE: at('/m'), HEADWATER_VERSION: '0.9.0' }
      expect(await install([], { env })).toMatchObject({ code: 0, installs: INSTALLED('0.9.0') })
      expectRefused(
        await install([], { env: { ...env, HEADWATER_VERSION: '7.0.0' } }),
        /SHA256SUMS names no package of version 7\.0\.0 for/,
      )
    }, 60_000)

    it('is believed by its signature where there is a key', async () => {
      const env = { HEADWATER_KEY: 'key.pem' }
      expect(await install([at('/m')], { env })).toMatchObject({ code: 0, installs: INSTALLED('0.10.0') })
    })

    it('is refused with the signature of another key, with none, and with a key that is not there', async () => {
      expectRefused(
        await install([at('/m')], { env: { HEADWATER_KEY: 'stranger.pem' } }),
        /SHA256SUMS is not signed by stranger\.pem: nothing was installed$/,
      )
      mirror.answers.set('/unsigned/SHA256SUMS', mirror.answers.get('/m/SHA256SUMS')!)
      expectRefused(
        await install([at('/unsigned')], { env: { HEADWATER_KEY: 'key.pem' } }),
        /SHA256SUMS\.sig could not be fetched: .*404/,
      )
      expectRefused(await install([at('/m')], { env: { HEADWATER_KEY: 'none.pem' } }), /none\.pem cannot be/)
    })

    it('with a package that is not what its checksums say is refused', async () => {
      mirror.answers.set('/spoiled/SHA256SUMS', { body: `${'b'.repeat(64)}  ${fileName('0.1.0')}\n` })
      mirror.answers.set(`/spoiled/${fileName('0.1.0')}`, mirror.answers.get(`/m/${fileName('0.1.0')}`)!)
      expectRefused(
        await install([at('/spoiled')]),
        /^install\.sh: the checksum of .* and not b{64}: nothing/,
      )
    })

    it('cannot lead out of its folder by a name', async () => {
      mirror.answers.set('/odd/SHA256SUMS', {
        body: `${'b'.repeat(64)}  ../m/${fileName('0.1.0')}\n${'b'.repeat(64)}  headwater_1 2_${own}.deb\n`,
      })
      expectRefused(await install([at('/odd')]), /names no package for/)
    })
  })

  describe('of a URL', () => {
    it('installs what has the checksum, and nothing without one', async () => {
      const url = at(`/m/${fileName('0.1.0')}`)
      const ran = await install([url, sha256(built.get(fileName('0.1.0'))!)])
      expect(ran).toMatchObject({ code: 0, installs: INSTALLED('0.1.0') })
      expectRefused(await install([url]), /a download needs its checksum: \.\/install\.sh https:.* SHA256$/)
    })

    it('refuses half a download', async () => {
      const half = built.get(fileName('0.1.0'))!
      mirror.answers.set('/half.deb', { half })
      expectRefused(await install([at('/half.deb'), sha256(half)]), /could not be fetched: curl: \(18\)/)
    })

    it('refuses what is not https, also where it is sent on to it', async () => {
      expectRefused(await install(['http://localhost/a.deb', 'x']), /only https/)
      mirror.answers.set('/moved.deb', { movedTo: 'http://localhost:9/a.deb' })
      expectRefused(await install([at('/moved.deb'), 'x']), /could not be fetched: curl: \(1\)/)
    })

    it('refuses a server whose certificate nobody vouches for', async () => {
      const env = { CURL_CA_BUNDLE: '/etc/ssl/certs/ca-certificates.crt' }
      expectRefused(await install([at('/m')], { env }), /could not be fetched: curl: \((60|77)\)/)
    })
  })

  describe('on a machine', () => {
    it.each<[string, Machine, RegExp]>([
      ['without root', { user: '1000' }, /^install\.sh: needs root: sudo/],
      ['of an architecture without a package', { architecture: 'riscv64' }, /no package for riscv64/],
      ['with an ARMv6', { architecture: 'armhf', processor: 'armv6l' }, /is an ARMv6 \(Pi Zero, Pi 1\)/],
      [
        'with an old Debian',
        { osRelease: 'ID=raspbian\nVERSION_ID="11"\nPRETTY_NAME="Raspbian 11"\n' },
        /this system is Raspbian 11: Headwater needs Debian 12/,
      ],
      [
        'with an old Ubuntu',
        { osRelease: 'ID=ubuntu\nVERSION_ID="20.04"\n' },
        /this system is ubuntu: Headwater needs Ubuntu 22\.04/,
      ],
    ])('%s it refuses, before it fetches anything', async (_name, machine, line) => {
      const before = mirror.asked.length
      expectRefused(await install([at('/m')], machine), line)
      expect(mirror.asked.length).toBe(before)
    })

    it.each([
      ['Debian without a number, as the unstable one', 'ID=debian\n'],
      ['a newer Ubuntu', 'ID=ubuntu\nVERSION_ID="24.04"\n'],
      ['what is made of Debian', 'ID=dietpi\nVERSION_ID="9"\n'],
    ])('with %s it goes on', async (_name, osRelease) => {
      expect(await install([fileName('0.1.0')], { osRelease })).toMatchObject({ code: 0 })
    })
  })

  it('does nothing where it was cut short on its way, and does not say that all is well', async () => {
    // of its first five lines nothing can be said
    const whole = readFileSync(SCRIPT, 'utf8').trimEnd().split('\n').length
    for (let lines = whole - 1; lines > 5; lines -= 3) {
      const ran = await install([fileName('0.1.0')], { lines })
      expect({ lines, failed: ran.code !== 0, out: ran.out, installs: ran.installs }).toEqual({
        lines,
        failed: true,
        out: '',
        installs: [],
      })
    }
  }, 60_000)

  it('leaves nothing behind when it is interrupted', async () => {
    mirror.answers.set('/silent/SHA256SUMS', 'nothing')
    const ending = install([at('/silent')])
    await vi.waitFor(() => expect(mirror.asked).toContain('/silent/SHA256SUMS'), 20_000)
    expect(readdirSync(home).filter((name) => name.startsWith('tmp.'))).toHaveLength(1)
    // as Ctrl-C does: to curl as well
    process.kill(-running, 'SIGINT')
    expect(await ending).toMatchObject({ code: 130, installs: [] })
    expect(readdirSync(home).filter((name) => name.startsWith('tmp.'))).toEqual([])
  })

  it('says how it is used, and refuses options that it does not have', async () => {
    const ran = await install([])
    expect(ran.code).toBe(2)
    expect(ran.errors[0]).toMatch(/^usage: sudo \.\/install\.sh headwater_VERSION/)
    expectRefused(await install(['--force']), /there is no option --force/)
  })
})
