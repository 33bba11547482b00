/**
 * A machine on which install.sh runs, with stubs in place of what would change it: apt-get and dpkg only note what they are asked. It has a folder of
 * packages, which say no more than what they are.
 */
import { execFile, execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const SCRIPT = fileURLToPath(new URL('../../deploy/raspberry-pi/install.sh', import.meta.url))

export class Packages {
  readonly folder = mkdtempSync(join(tmpdir(), 'headwater-packages-'))
  /** The architecture of this machine. */
  readonly own = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim()
  /** By name, such as headwater_0.1.0_arm64.deb. */
  readonly built = new Map<string, Buffer>()

  build(name: string, version: string, architecture: string): void {
    const root = join(this.folder, `${name}-${version}-${architecture}`)
    mkdirSync(join(root, 'DEBIAN'), { recursive: true })
    const control = `Package: ${name}\nVersion: ${version}\nArchitecture: ${architecture}\nMaintainer: x <x@example.org>\nDescription: x\n`
    writeFileSync(join(root, 'DEBIAN/control'), control)
    const file = `${name}_${version}_${architecture}.deb`
    const to = join(this.folder, file)
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', root, to], { stdio: 'ignore' })
    this.built.set(file, readFileSync(to))
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** How a run differs from one by root on a Debian 12 without Headwater. */
export interface Circumstances {
  readonly user?: string
  readonly architecture?: string
  readonly processor?: string
  readonly osRelease?: string
  /** Of Headwater, installed already. */
  readonly installed?: string
  readonly env?: NodeJS.ProcessEnv
  /** What systemd says when apt-get has ended; without it there is none. */
  readonly systemd?: { readonly current: string; readonly isUp: boolean; readonly isActive: boolean }
  /** Of the script, so many lines came here. */
  readonly lines?: number
}

export interface Ran {
  readonly code: number
  readonly out: string
  /** All lines of standard error. */
  readonly errors: readonly string[]
  /** What apt-get was asked to install. */
  readonly installs: readonly string[]
  /** How dpkg was asked to finish what was begun before, and what could be read of an answer. */
  readonly configured: readonly string[]
}

export class InstallMachine {
  readonly home = mkdtempSync(join(tmpdir(), 'headwater-install-'))
  readonly #packages: Packages
  #running = 0

  constructor(packages: Packages) {
    this.#packages = packages
    mkdirSync(join(this.home, 'bin'))
  }

  /** Where the stubs are, which go before what `programs` has, and before the PATH where that is not said. */
  path(programs = process.env.PATH): string {
    return `${join(this.home, 'bin')}:${programs}`
  }

  /** Runs the script, from the folder of the packages. */
  install(args: readonly string[], circumstances: Circumstances = {}): Promise<Ran> {
    const { home } = this
    this.#stubAll(circumstances)
    const script = this.#script(circumstances)
    for (const notes of ['installs', 'configured']) rmSync(join(home, notes), { force: true })
    const cwd = this.#packages.folder
    const base = { PATH: this.path(), CURL_CA_BUNDLE: join(cwd, 'ca.pem'), TMPDIR: home }
    const env = { ...base, ...circumstances.env }
    return new Promise((resolve) => {
      const child = execFile('setsid', ['sh', script, ...args], { env, cwd }, (error, out, stderr) => {
        const errors = stderr.split('\n').filter((line) => line !== '')
        const [installs, configured] = [this.#noted('installs'), this.#noted('configured')]
        resolve({ code: error === null ? 0 : Number(error.code), out, errors, installs, configured })
      })
      this.#running = child.pid!
      // most end without a look at it
      child.stdin!.on('error', () => {}).end('an answer that nobody is to be asked for')
    })
  }

  /** Ctrl-C: the script has it, and what it runs. */
  interrupt(): void {
    process.kill(-this.#running, 'SIGINT')
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true })
  }

  #stubAll(circumstances: Circumstances): void {
    const { home } = this
    const { user = '0', architecture, processor = 'aarch64', installed, osRelease, systemd } = circumstances
    this.#stub('id', `echo ${user}`)
    this.#stub('uname', `echo ${processor}`)
    this.#stub(
      'dpkg',
      `case $* in
        --print-architecture) echo ${architecture ?? this.#packages.own} ;;
        *--configure*) echo "$* $DEBIAN_FRONTEND $(cat)" >>'${home}/configured' ;;
        *) exec /usr/bin/dpkg "$@" ;;
      esac`,
    )
    this.#stub('dpkg-query', installed === undefined ? 'exit 1' : `echo 'installed ${installed}'`)
    // what is installed is looked at where it then lies: it is gone with the script
    const note = `dpkg-deb --field "$last" Package Version >>'${home}/installs'`
    this.#stub('apt-get', `for last; do :; done; ${note}`)
    if (systemd !== undefined) {
      symlinkSync(`releases/${systemd.current}`, join(home, 'current'))
      this.#stub('headwater-release', systemd.isUp ? 'exit 0' : 'exit 1')
      this.#stub('systemctl', systemd.isActive ? 'exit 0' : 'exit 3')
    }
    const debian = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'
    writeFileSync(join(home, 'os-release'), osRelease ?? debian)
  }

  #stub(name: string, script: string): void {
    const file = join(this.home, 'bin', name)
    writeFileSync(file, `#!/bin/sh\n${script}\n`)
    chmodSync(file, 0o755)
  }

  #script({ lines, systemd }: Circumstances): string {
    const file = join(this.home, 'install.sh')
    const text = readFileSync(SCRIPT, 'utf8')
      .replaceAll('/etc/os-release', join(this.home, 'os-release'))
      .replaceAll('/run/systemd/system', systemd === undefined ? join(this.home, 'none') : this.home)
      .replaceAll('/opt/headwater/current', join(this.home, 'current'))
    writeFileSync(file, text.split('\n').slice(0, lines).join('\n'))
    return file
  }

  /** Lines that the stubs have left. */
  #noted(name: string): string[] {
    const file = join(this.home, name)
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
  }
}
