/**
 * A machine of a document's own, made of Linux namespaces: its ports are free, what it writes to /etc, /var, /mnt, /tmp and /usr/local is gone with it,
 * and so is each process that was started there. Its working directory is on the real disk.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BASH_LIBRARY = fileURLToPath(new URL('machine.sh', import.meta.url))
const UNSHARE = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child']

/** Why there can be no such machine here, or undefined. */
export function whyNoMachine(): string | undefined {
  if (process.platform !== 'linux') return 'it takes Linux'
  if (process.getuid?.() !== 0) return 'it takes root'
  const trial = 'ip link set lo up && mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w &&'
  const overlay = 'mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc'
  try {
    execFileSync('unshare', [...UNSHARE, 'bash', '-c', `${trial} ${overlay}`], { stdio: 'pipe' })
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer }
    const why = stderr?.toString().trim().split('\n').at(-1)
    return `it takes namespaces of its own: ${why || (error as Error).message}`
  }
  return undefined
}

export interface Ran {
  readonly code: number | null
  readonly output: string
}

export class Machine {
  readonly home = mkdtempSync(join(tmpdir(), 'headwater-docs-'))
  readonly #keeper: ChildProcess
  #init = 0
  #runs = 0

  private constructor() {
    mkdirSync(join(this.home, 'work'))
    mkdirSync(join(this.home, 'state'))
    // `npx mqtt` is the one of the repository
    symlinkSync(join(ROOT, 'node_modules'), join(this.home, 'node_modules'))
    const script = `source ${BASH_LIBRARY}; separate ${this.home}; echo ready; read -r _`
    this.#keeper = spawn('unshare', [...UNSHARE, 'bash', '-ec', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
  }

  static async boot(): Promise<Machine> {
    const machine = new Machine()
    const { pid, stdout } = machine.#keeper
    const gone = once(machine.#keeper, 'exit').then(() => {
      throw new Error('the machine did not start')
    })
    await Promise.race([once(stdout!, 'data'), gone])
    gone.catch(() => {})
    machine.#init = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
    return machine
  }

  /** Runs a script of bash to its end; what it leaves in the background goes on. */
  async run(script: string, msMax: number): Promise<Ran> {
    this.#runs += 1
    const file = join(this.home, 'state', `${this.#runs}.sh`)
    const outputFile = join(this.home, 'state', `${this.#runs}.out`)
    writeFileSync(file, `source ${BASH_LIBRARY}\n${script}\n`)
    const output = openSync(outputFile, 'w')
    const enter = [`--target=${this.#init}`, '--net', '--mount', '--pid']
    const child = spawn('nsenter', [...enter, `--wd=${join(this.home, 'work')}`, 'bash', file], {
      stdio: ['ignore', output, output],
      env: this.#environment(),
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), msMax)
    const [code] = (await once(child, 'exit')) as [number | null]
    clearTimeout(timer)
    return { code, output: readFileSync(outputFile, 'utf8') }
  }

  /** What a script has written to a file of this name in its $STATE. */
  state(name: string): string {
    return readFileSync(join(this.home, 'state', name), 'utf8').trim()
  }

  /** Ends all that was started in it. */
  async halt(): Promise<void> {
    const ended = once(this.#keeper, 'exit')
    this.#keeper.stdin!.end()
    await ended
    rmSync(this.home, { recursive: true, force: true })
  }

  #environment(): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(HEADWATER_|JOURNAL_STREAM$|NO_COLOR$|FORCE_COLOR$|CI$|VITEST|NODE_)/.test(name),
    )
    return {
      ...Object.fromEntries(inherited),
      HOME: this.home,
      REPOSITORY: ROOT,
      STATE: join(this.home, 'state'),
      PATH: `${join(ROOT, 'bin')}:${process.env.PATH}`,
      // whatever this machine's time service says, the documents see the same broker
      HEADWATER_CLOCK_TRUST: 'always',
    }
  }
}
