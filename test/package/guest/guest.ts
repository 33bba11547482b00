/**
 * A Debian that systemd has booted in namespaces of its own (systemd-nspawn), with one person on it: `pi`, who may sudo, as on Raspberry Pi OS. It has no
 * network but its loopback, and forgets everything when it ends. In /test lie the packages, install.sh and what scripts of documents are made of.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Ran } from '../../docs/machine.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const LIBRARIES = ['test/docs/machine.sh', 'test/package/guest/person.sh']
const INSTALLER = 'deploy/raspberry-pi/install.sh'
const BOOT_MS_MAX = 120_000
const ASK_MS_MAX = 10_000
const POLL_MS = 100

/** @throws Error where `npm run test:package` has not set it */
function given(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set: npm run test:package does`)
  return value
}

/** One of the built packages, on the real machine. */
export const packageFile = (name: 'current' | 'next' | 'broken') =>
  join(given('HEADWATER_TEST_PACKAGES'), `${name}.deb`)

export class Guest {
  /** On the real machine; /test inside. */
  readonly home = mkdtempSync(join(tmpdir(), 'headwater-guest-'))
  readonly #container: ChildProcess
  #init = 0
  #runs = 0

  private constructor(options: readonly string[]) {
    // what a person inside may read, and write
    chmodSync(this.home, 0o755)
    mkdirSync(this.#inside('state'))
    chmodSync(this.#inside('state'), 0o1777)
    for (const file of [...LIBRARIES, INSTALLER]) copyFileSync(join(ROOT, file), this.#inside(basename(file)))
    const console_ = openSync(this.#inside('console'), 'w')
    const fixed = ['--quiet', '--volatile=overlay', '--register=no', '--keep-unit', '--private-network']
    const binds = [
      `--bind=${this.home}:/test`,
      `--bind-ro=${given('HEADWATER_TEST_PACKAGES')}:/test/packages`,
    ]
    mkdirSync(this.#inside('packages'))
    this.#container = spawn(
      'systemd-nspawn',
      [
        ...fixed,
        `--directory=${given('HEADWATER_TEST_IMAGE')}`,
        ...binds,
        ...options,
        '--boot',
        '--console=pipe',
      ],
      { stdio: ['ignore', console_, console_] },
    )
  }

  /** @param options of systemd-nspawn, beside its own */
  static async boot(options: readonly string[] = []): Promise<Guest> {
    const guest = new Guest(options)
    try {
      await guest.#start()
    } catch (error) {
      await guest.halt()
      throw error
    }
    return guest
  }

  async #start(): Promise<void> {
    const until = Date.now() + BOOT_MS_MAX
    while (!this.#isUp()) {
      // such as "Too many open files": fs.inotify.max_user_instances is for all systems of a machine together
      if (this.#container.exitCode !== null || Date.now() > until)
        throw new Error(`the guest did not start:\n${this.#journal()}`)
      await delay(POLL_MS)
    }
    const { code, output } = await this.run('make_person', BOOT_MS_MAX, 'root')
    if (code !== 0) throw new Error(`the guest has no person: ${output}`)
  }

  /** Its first process, as the real machine numbers it; it is another one while the container is made, and 0 before. */
  #first(): number {
    const { pid } = this.#container
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0])
  }

  /** @throws Error where it has come up with something missing */
  #isUp(): boolean {
    let state: string
    try {
      this.#init = this.#first()
      // it ends with a failure in all states but "running"
      const ask = [...this.#enter(), 'sh', '-c', 'systemctl is-system-running || true']
      state = execFileSync('nsenter', ask, {
        stdio: ['ignore', 'pipe', 'ignore'],
        encoding: 'utf8',
        timeout: ASK_MS_MAX,
      }).trim()
    } catch {
      return false
    }
    if (state === 'degraded') throw new Error(this.#journal())
    return state === 'running'
  }

  /** What it says of its start, as far as it can be asked. */
  #journal(): string {
    const ask = [
      ...this.#enter(),
      'sh',
      '-c',
      'systemctl --failed --no-pager; journalctl -b --no-pager | tail -n 40',
    ]
    const { stdout } = spawnSync('nsenter', ask, { encoding: 'utf8', timeout: ASK_MS_MAX })
    return `${readFileSync(this.#inside('console'), 'utf8')}\n${stdout}`
  }

  /** Runs a script of bash to its end, as somebody who has just logged in; what it leaves in the background goes on. */
  async run(script: string, msMax: number, user: 'pi' | 'root' = 'pi'): Promise<Ran> {
    this.#runs += 1
    const name = `${this.#runs}.sh`
    const outputFile = this.#inside(`${this.#runs}.out`)
    const sources = LIBRARIES.map((library) => `source /test/${basename(library)}`)
    const places = 'STATE=/test/state PACKAGES=/test/packages'
    writeFileSync(this.#inside(name), [`export ${places}`, ...sources, script, ''].join('\n'))
    const output = openSync(outputFile, 'w')
    const login = ['runuser', '--login', user, '--command', `bash /test/${name}`]
    const child = spawn('nsenter', [...this.#enter(), ...login], { stdio: ['ignore', output, output] })
    const timer = setTimeout(() => child.kill('SIGKILL'), msMax)
    const [code] = (await once(child, 'exit')) as [number | null]
    clearTimeout(timer)
    return { code, output: readFileSync(outputFile, 'utf8') }
  }

  /** @returns what a script put out that ended with 0 @throws Error with what it put out otherwise */
  async done(script: string, user: 'pi' | 'root' = 'pi', msMax = BOOT_MS_MAX): Promise<string> {
    const { code, output } = await this.run(`set -eo pipefail\n${script}`, msMax, user)
    if (code !== 0) throw new Error(`exit code ${code}: ${script}\n${output}`)
    return output.trim()
  }

  /** What a script has written to a file of this name in its $STATE. */
  state(name: string): string {
    return readFileSync(join(this.home, 'state', name), 'utf8').trim()
  }

  /** Ends all that was started in it. */
  async halt(): Promise<void> {
    if (this.#container.exitCode === null && this.#container.signalCode === null) {
      const ended = once(this.#container, 'exit')
      // all in it goes with its first process, and systemd-nspawn then; without systemd-nspawn it would live on
      const first = this.#first()
      if (first === 0) this.#container.kill('SIGKILL')
      else process.kill(first, 'SIGKILL')
      await ended
    }
    rmSync(this.home, { recursive: true, force: true })
  }

  #inside(name: string): string {
    return join(this.home, name)
  }

  #enter(): string[] {
    return [`--target=${this.#init}`, '--all']
  }
}
