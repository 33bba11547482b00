/** A program on a terminal: script(1) holds a pseudo terminal, the test is the keyboard. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/** Why there is none here; null where there is. */
export const noTerminal =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') === true
    ? null
    : 'script (util-linux) is not installed'
if (noTerminal !== null) {
  if (process.env.CI === 'true') throw new Error(`tests on a terminal cannot run here: ${noTerminal}`)
  process.stderr.write(`!!! tests on a terminal are SKIPPED: ${noTerminal}\n`)
}

const WAIT_MS_MAX = 20_000

export class Terminal {
  readonly child: ChildProcessWithoutNullStreams
  output = ''

  /** @param command for a shell; its standard streams are the terminal, 80 by 24 */
  constructor(command: string, cwd: string, env: NodeJS.ProcessEnv = {}) {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(HEADWATER_|JOURNAL_STREAM|NO_COLOR|FORCE_COLOR)/.test(name),
      ),
    )
    this.child = spawn('script', ['-qfec', `stty cols 80 rows 24; ${command}`, '/dev/null'], {
      cwd,
      env: { ...inherited, TERM: 'xterm', SHELL: '/bin/sh', ...env },
    })
    const take = (chunk: Buffer) => {
      this.output += chunk.toString()
    }
    this.child.stdout.on('data', take)
    this.child.stderr.on('data', take)
    this.child.stdin.on('error', () => {})
  }

  type(keys: string): void {
    this.child.stdin.write(keys)
  }

  /** Waits for a text in what comes from now on, or has come behind `from`. */
  async until(text: string | RegExp, from = 0): Promise<void> {
    const deadline = Date.now() + WAIT_MS_MAX
    const isThere = () => {
      const shown = this.output.slice(from)
      return typeof text === 'string' ? shown.includes(text) : text.test(shown)
    }
    while (!isThere()) {
      if (Date.now() > deadline)
        throw new Error(`${text} did not come\n${JSON.stringify(this.output.slice(-2000))}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** @returns the exit code of the command */
  async ended(): Promise<number | null> {
    if (this.child.exitCode === null) await once(this.child, 'close')
    return this.child.exitCode
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }
}
