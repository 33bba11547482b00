/**
 * install.sh, on a machine whose apt-get only notes what it is asked to install: what it takes, from where, and what it refuses with one line. The same with
 * a real apt-get and a real systemd: test/package/guest.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { isOnPath, placeOf } from '../support/programs.ts'
import { type Circumstances, InstallMachine, Packages, type Ran, SCRIPT } from './install-machine.ts'
import { Mirror } from './mirror.ts'

const NEEDED = ['dpkg', 'dpkg-deb', 'curl', 'openssl', 'sha256sum', 'setsid']
const missing = NEEDED.filter((program) => !isOnPath(program))
if (missing.length > 0) {
  const line = `install.sh is not tested here: ${missing.join(', ')} is not there`
  if (process.env.CI === 'true') throw new Error(line)
  process.stderr.write(`!!! ${line}\n`)
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let packages: Packages
let mirror: Mirror
let machine: InstallMachine
const install = (args: readonly string[], circumstances?: Circumstances) =>
  machine.install(args, circumstances)

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
const fileName = (version: string) => `headwater_${version}_${packages.own}.deb`
const built = (version: string) => packages.built.get(fileName(version))!
const inPackages = (name: string) => join(packages.folder, name)
const INSTALLED = (version: string) => ['Package: headwater', `Version: ${version}`]

describe.skipIf(missing.length > 0)('install.sh', () => {
  beforeAll(async () => {
    packages = new Packages()
    const { own } = packages
    for (const version of ['0.1.0', '0.9.0', '0.10.0']) packages.build('headwater', version, own)
    packages.build('headwater', '0.1.0', 'ppc64el')
    packages.build('other', '0.1.0', own)
    mirror = await Mirror.listen('localhost')
    writeFileSync(inPackages('ca.pem'), mirror.authority)
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const stranger = generateKeyPairSync('ed25519')
    writeFileSync(inPackages('key.pem'), publicKey.export({ type: 'spki', format: 'pem' }))
    writeFileSync(inPackages('stranger.pem'), stranger.publicKey.export({ type: 'spki', format: 'pem' }))
    for (const [name, body] of packages.built) mirror.answers.set(`/m/${name}`, { body })
    const sums = [...packages.built].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).join('')
    mirror.answers.set('/m/SHA256SUMS', { body: sums })
    mirror.answers.set('/m/SHA256SUMS.sig', { body: sign(null, Buffer.from(sums), privateKey) })
  }, 60_000)
  beforeEach(() => {
    machine = new InstallMachine(packages)
  })
  afterEach(() => machine.remove())
  afterAll(async () => {
    await mirror?.close()
    packages?.remove()
  })

  describe('of a file', () => {
    it('installs it', async () => {
      const ran = await install([fileName('0.1.0')])
      expect(ran).toMatchObject({ code: 0, errors: [], installs: INSTALLED('0.1.0') })
      expect(ran.out).toContain('headwater 0.1.0 is installed')
    })

    it('compares a checksum that is given, in small letters or large', async () => {
      const sum = sha256(built('0.1.0'))
      expect(await install([fileName('0.1.0'), sum.toUpperCase()])).toMatchObject({ code: 0 })
      const other = 'a'.repeat(64)
      const ran = await install([fileName('0.9.0'), other])
      expect(ran.code).toBe(1)
      expect(ran.errors).toEqual([
        `install.sh: the checksum of ${fileName('0.9.0')} is ${sha256(built('0.9.0'))}, and not ${other}: nothing was installed`,
      ])
    })

    it('refuses what is not there, no package, another package, for another machine', async () => {
      expectRefused(await install(['none.deb']), /there is no file none\.deb$/)
      expectRefused(await install(['ca.pem']), /ca\.pem is no Debian package$/)
      expectRefused(await install([`other_0.1.0_${packages.own}.deb`]), /is the package other$/)
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

    it('may have checksums whose last line does not end', async () => {
      const sums = mirror.answers.get('/m/SHA256SUMS') as { body: string }
      const last = sums.body.split('\n').find((line) => line.endsWith(fileName('0.9.0')))!
      mirror.answers.set('/one/SHA256SUMS', { body: last })
      mirror.answers.set(`/one/${fileName('0.9.0')}`, mirror.answers.get(`/m/${fileName('0.9.0')}`)!)
      expect(await install([at('/one')])).toMatchObject({ code: 0, installs: INSTALLED('0.9.0') })
    })

    it('cannot lead out of its folder by a name', async () => {
      mirror.answers.set('/odd/SHA256SUMS', {
        body: `${'b'.repeat(64)}  ../m/${fileName('0.1.0')}\n${'b'.repeat(64)}  headwater_1 2_${packages.own}.deb\n`,
      })
      expectRefused(await install([at('/odd')]), /names no package for/)
    })
  })

  describe('of a URL', () => {
    it('installs what has the checksum, and nothing without one', async () => {
      const url = at(`/m/${fileName('0.1.0')}`)
      const ran = await install([url, sha256(built('0.1.0'))])
      expect(ran).toMatchObject({ code: 0, installs: INSTALLED('0.1.0') })
      expectRefused(await install([url]), /a download needs its checksum: \.\/install\.sh https:.* SHA256$/)
    })

    it('refuses half a download', async () => {
      const half = built('0.1.0')
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

  describe.skipIf(!isOnPath('wget'))('without curl', () => {
    const PROGRAMS = 'sh cat cut tr sed rm cp chmod mktemp sha256sum setsid dpkg-deb tar xz wget'.split(' ')
    let env: NodeJS.ProcessEnv
    beforeEach(() => {
      const { home } = machine
      const folder = join(home, 'without-curl')
      mkdirSync(folder)
      for (const program of PROGRAMS) symlinkSync(placeOf(program)!, join(folder, program))
      writeFileSync(join(home, 'wgetrc'), `ca_certificate = ${inPackages('ca.pem')}\n`)
      env = { PATH: machine.path(folder), WGETRC: join(home, 'wgetrc') }
    })

    it('fetches with wget', async () => {
      expect(await install([at('/m')], { env })).toMatchObject({ code: 0, installs: INSTALLED('0.10.0') })
    })

    it('refuses half a download, where it is sent elsewhere, and whom nobody vouches for', async () => {
      const half = built('0.1.0')
      mirror.answers.set('/half.deb', { half })
      const sum = sha256(half)
      expectRefused(await install([at('/half.deb'), sum], { env }), /could not be fetched: wget ended with/)
      mirror.answers.set('/moved.deb', { movedTo: at(`/m/${fileName('0.1.0')}`) })
      expectRefused(
        await install([at('/moved.deb'), sum], { env }),
        /could not be fetched: wget ended with 8$/,
      )
      writeFileSync(env.WGETRC!, '')
      expectRefused(await install([at('/m')], { env }), /could not be fetched: wget ended with 5$/)
    }, 60_000)
  })

  describe('on a machine', () => {
    it.each<[string, Circumstances, RegExp]>([
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
    ])('%s it refuses, before it fetches anything', async (_name, circumstances, line) => {
      const before = mirror.asked.length
      expectRefused(await install([at('/m')], circumstances), line)
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

  const WELL = { current: '0.9.0', isUp: true, isActive: true }
  it.each<[string, Circumstances, number, string]>([
    ['the first', { systemd: WELL }, 0, 'headwater 0.9.0 is installed, and runs'],
    [
      'an upgrade',
      { systemd: WELL, installed: '0.1.0' },
      0,
      '0.9.0 is installed in place of 0.1.0, and runs',
    ],
    ['the same again', { systemd: WELL, installed: '0.9.0' }, 0, 'was installed already, and 0.9.0 runs'],
    [
      'one whose service is disabled',
      { systemd: { ...WELL, isActive: false }, installed: '0.1.0' },
      0,
      'in place of 0.1.0, and is not started: sudo systemctl enable --now headwater',
    ],
    [
      'one that was taken back',
      { systemd: { ...WELL, current: '0.1.0' }, installed: '0.1.0' },
      1,
      'headwater 0.9.0 does not run, 0.1.0 goes on',
    ],
    [
      'one that does not come up',
      { systemd: { current: '0.9.0', isUp: false, isActive: false } },
      1,
      'headwater 0.9.0 is installed and does not run',
    ],
  ])('after %s it says what runs', async (_name, circumstances, code, line) => {
    const ran = await install([fileName('0.9.0')], circumstances)
    expect(ran).toMatchObject({ code, installs: INSTALLED('0.9.0') })
    expect(`${ran.out}${ran.errors.join('\n')}`).toContain(line)
  })

  it('checks the signature that is asked for, or installs nothing', async () => {
    const url = at(`/m/${fileName('0.1.0')}`)
    const env = { HEADWATER_KEY: 'key.pem' }
    const line = /^install\.sh: HEADWATER_KEY and HEADWATER_VERSION are for a mirror, which .* is not$/
    expectRefused(await install([fileName('0.1.0')], { env }), line)
    expectRefused(await install([url, sha256(built('0.1.0'))], { env }), line)
    expectRefused(await install([fileName('0.1.0')], { env: { HEADWATER_VERSION: '0.9.0' } }), line)
  })

  it('leaves nothing behind when it is interrupted', async () => {
    mirror.answers.set('/silent/SHA256SUMS', 'nothing')
    const ending = install([at('/silent')])
    await vi.waitFor(() => expect(mirror.asked).toContain('/silent/SHA256SUMS'), 20_000)
    const folders = () => readdirSync(machine.home).filter((name) => name.startsWith('tmp.'))
    expect(folders()).toHaveLength(1)
    machine.interrupt()
    expect(await ending).toMatchObject({ code: 130, installs: [] })
    expect(folders()).toEqual([])
  })

  it('says how it is used, and refuses options that it does not have', async () => {
    const ran = await install([])
    expect(ran.code).toBe(2)
    expect(ran.errors[0]).toMatch(/^usage: sudo \.\/install\.sh headwater_VERSION/)
    expectRefused(await install(['--force']), /there is no option --force/)
  })
})
