/** install.sh with a real apt and a real systemd, from a server that a guest reaches as packages.example.org: what a device goes through in its years. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Mirror } from '../mirror.ts'
import { Guest, packageFile } from './guest.ts'
import { HOST, serveIn } from './serving.ts'

const INSTALL_MS_MAX = 240_000
const CONFIG = '/etc/headwater/headwater.yaml'
const AT = `https://${HOST}`

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const field = (file: string, name: string) =>
  execFileSync('dpkg-deb', ['--field', file, name], { encoding: 'utf8' }).trim()

/** A package like another one, of a newer version, that brings another configuration. */
function withOtherConfiguration(from: string, version: string, folder: string): string {
  const root = join(folder, 'root')
  execFileSync('dpkg-deb', ['-R', from, root])
  appendFileSync(join(root, CONFIG), '# a key that is new\n')
  execFileSync('sed', ['-i', `s/^Version: .*/Version: ${version}/`, join(root, 'DEBIAN/control')])
  execFileSync('sh', ['-c', `echo ${version} >"$0"`, join(root, 'opt/headwater/package/VERSION')])
  const file = join(folder, 'other.deb')
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', root, file], { stdio: 'ignore' })
  rmSync(root, { recursive: true })
  return file
}

let folder: string
let guest: Guest
let mirror: Mirror
/** The file's name on a mirror. */
const served = new Map<string, string>()

/** A folder of the mirror with one package and its checksums. */
function offer(path: string, file: string): void {
  const name = `headwater_${field(file, 'Version')}_${field(file, 'Architecture')}.deb`
  const body = readFileSync(file)
  served.set(path, name)
  mirror.answers.set(`/${path}/${name}`, { body })
  mirror.answers.set(`/${path}/SHA256SUMS`, { body: `${sha256(body)}  ${name}\n` })
}

/** @returns its code, and the last line that is its own */
async function install(args: string, environment = '') {
  const { code, output } = await guest.run(
    `sudo ${environment} sh /test/install.sh ${args} </dev/null`,
    INSTALL_MS_MAX,
  )
  const lines = output
    .split('\n')
    .filter((line) => line.startsWith('install.sh: ') && !line.includes('fetching'))
  return { code, lines, output }
}
const installed = () => guest.done(`dpkg-query --show --showformat='\${Version}' headwater`)
const current = () =>
  guest.done('basename "$(readlink /opt/headwater/current)" && systemctl is-active headwater')

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-other-'))
  guest = await Guest.boot()
  mirror = await serveIn(guest)
  offer('first', packageFile('current'))
  offer('next', packageFile('next'))
  offer('broken', packageFile('broken'))
  offer('other', withOtherConfiguration(packageFile('next'), '9.0.0', folder))
})
afterAll(async () => {
  await mirror?.close()
  await guest?.halt()
  rmSync(folder, { recursive: true, force: true })
})

describe('on a system without Headwater', () => {
  const nothing = () => guest.done('! command -v headwater && ! getent passwd headwater')

  it('refuses a person who is not root', async () => {
    const { code, output } = await guest.run(`sh /test/install.sh ${AT}/first`, INSTALL_MS_MAX)
    expect({ code, output }).toEqual({ code: 1, output: 'install.sh: needs root: sudo ./install.sh ...\n' })
  })

  it('refuses an old Debian', async () => {
    await guest.done('cp -a --remove-destination "$(readlink -f /etc/os-release)" /etc/os-release', 'root')
    await guest.done(
      `cp /etc/os-release /root/kept; sed -i 's/^VERSION_ID=.*/VERSION_ID="11"/' /etc/os-release`,
      'root',
    )
    const { code, lines } = await install(`${AT}/first`)
    await guest.done('cp /root/kept /etc/os-release', 'root')
    expect(code).toBe(1)
    expect(lines).toEqual([expect.stringContaining('Headwater needs Debian 12 (bookworm) or later')])
    await nothing()
  })

  it('refuses a package that is not what its checksum says', async () => {
    const url = `${AT}/first/${served.get('first')}`
    const { code, lines } = await install(`${url} ${'0'.repeat(64)}`)
    expect(code).toBe(1)
    expect(lines).toEqual([expect.stringMatching(/and not 0{64}: nothing was installed$/)])
    await nothing()
  })

  it('refuses half a download', async () => {
    mirror.answers.set('/half/SHA256SUMS', mirror.answers.get('/first/SHA256SUMS')!)
    mirror.answers.set(`/half/${served.get('first')}`, { half: readFileSync(packageFile('current')) })
    const { code, lines } = await install(`${AT}/half`)
    expect(code).toBe(1)
    expect(lines).toEqual([expect.stringMatching(/could not be fetched: curl: \(18\)/)])
    await nothing()
  })

  it('refuses a server that is not there', async () => {
    const { code, lines } = await install('https://nowhere.example.org')
    expect(code).toBe(1)
    expect(lines).toEqual([expect.stringMatching(/SHA256SUMS could not be fetched: curl: \(6\)/)])
    await nothing()
  })

  it('installs from a mirror, and says that it runs', async () => {
    const { code, lines, output } = await install(`${AT}/first`)
    expect(code, output).toBe(0)
    const version = field(packageFile('current'), 'Version')
    expect(lines).toEqual([`install.sh: headwater ${version} is installed, and runs`])
    expect(await current()).toBe(`${version}\nactive`)
  })
})

describe('on a system with Headwater', () => {
  it('a second run changes nothing', async () => {
    const pid = await guest.done('systemctl show --property=MainPID --value headwater')
    const { code, lines } = await install('', `HEADWATER_SOURCE=${AT}/first`)
    expect(code).toBe(0)
    expect(lines).toEqual([
      expect.stringMatching(/^install\.sh: headwater \S+ was installed already, and \S+ runs$/),
    ])
    expect(await guest.done('systemctl show --property=MainPID --value headwater')).toBe(pid)
  })

  it('upgrades, with the data and the configuration that are there', async () => {
    await guest.done(
      `sed -i 's/^edge: auto$/edge: raspberrypi/' ${CONFIG}
      mosquitto_pub -q 1 -t plant/1/temperature -m 21.5`,
      'root',
    )
    const { code, lines, output } = await install(`${AT}/next`)
    expect(code, output).toBe(0)
    const [before, after] = [field(packageFile('current'), 'Version'), field(packageFile('next'), 'Version')]
    expect(lines).toEqual([`install.sh: headwater ${after} is installed in place of ${before}, and runs`])
    expect(await guest.done('sudo headwater read events --count 1')).toContain('"value":"21.5"')
    await guest.done(`grep -q '^edge: raspberrypi$' ${CONFIG}`, 'root')
  })

  it('refuses to go back, and names what does', async () => {
    const { code, lines } = await install(`${AT}/first`)
    expect(code).toBe(1)
    expect(lines).toEqual([
      expect.stringMatching(/is newer than .*: sudo headwater-release rollback goes back/),
    ])
    expect(await current()).toBe(`${field(packageFile('next'), 'Version')}\nactive`)
  })

  it('says that a version did not come up, and which one goes on', async () => {
    const { code, lines, output } = await install(`${AT}/broken`)
    expect(code, output).toBe(1)
    const [goesOn, broken] = [field(packageFile('next'), 'Version'), field(packageFile('broken'), 'Version')]
    expect(lines).toEqual([
      `install.sh: headwater ${broken} does not run, ${goesOn} goes on: sudo journalctl -u headwater says why`,
    ])
    expect(await current()).toBe(`${goesOn}\nactive`)
    expect(await installed()).toBe(broken)
  })

  it("asks nobody about a configuration that both sides have changed: the operator's stays", async () => {
    const { code, output } = await install(`${AT}/other`)
    expect(code, output).toBe(0)
    await guest.done(
      `grep -q '^edge: raspberrypi$' ${CONFIG} && ! grep -q 'a key that is new' ${CONFIG}`,
      'root',
    )
    await guest.done(`grep -q 'a key that is new' ${CONFIG}.dpkg-dist`, 'root')
    expect(await current()).toContain('active')
  })

  it('goes on where a power cut has left dpkg in the middle', async () => {
    await guest.done(
      `HEADWATER_PURGE_DATA=no apt-get remove -y -qq headwater
      dpkg --unpack /test/packages/current.deb
      test -n "$(dpkg --audit)"`,
      'root',
    )
    const { code, output } = await install(`${AT}/next`)
    expect(code, output).toBe(0)
    expect(await guest.done('sudo dpkg --audit')).toBe('')
    expect(await guest.done('sudo headwater read events --count 1')).toContain('"value":"21.5"')
  })

  it('goes on where a power cut came before dpkg had taken over its journal', async () => {
    await guest.done(
      `dpkg-query --status headwater >/var/lib/dpkg/updates/0001
      test -z "$(dpkg --audit)"
      ! apt-get install -y -qq --reinstall sudo`,
      'root',
    )
    const { code, output } = await install(`${AT}/next`)
    expect(code, output).toBe(0)
    expect(await guest.done('sudo ls /var/lib/dpkg/updates')).toBe('')
  })
})
