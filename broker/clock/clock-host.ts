/** What can be asked of the machine about its clock: files of the kernel and of the time service, and two programs. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { delimiter, join } from 'node:path'

/** Nothing here throws: what cannot be read is not there. */
export interface ClockHost {
  readText(path: string): string | undefined
  /** ms since 1970 */
  modifiedAt(path: string): number | undefined
  /** The names in a directory; none where it is not there. */
  list(path: string): string[]
  isInstalled(program: string): boolean
  /** What the program printed; null when it failed or took longer than its time. */
  run(program: string, args: readonly string[]): Promise<string | null>
  /** Ends the programs that run. */
  close(): void
}

/** A program that takes longer is killed. */
const RUN_MS_MAX = 2_000
const OUTPUT_CHARS_MAX = 4_096

export class NodeClockHost implements ClockHost {
  readonly #running = new Set<ChildProcess>()

  readText(path: string): string | undefined {
    return orUndefined(() => readFileSync(path, 'latin1'))
  }

  modifiedAt(path: string): number | undefined {
    return orUndefined(() => statSync(path).mtimeMs)
  }

  list(path: string): string[] {
    return orUndefined(() => readdirSync(path)) ?? []
  }

  isInstalled(program: string): boolean {
    const path = (process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '')
    return path.some((directory) => existsSync(join(directory, program)))
  }

  run(program: string, args: readonly string[]): Promise<string | null> {
    // most failures come as an event, a want of memory as an exception
    return new Promise<string | null>((resolve) => this.#run(program, args, resolve)).catch(() => null)
  }

  #run(program: string, args: readonly string[], ended: (output: string | null) => void): void {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
    })
    this.#running.add(child)
    // neither the program, its output nor its time keeps this process alive
    child.unref()
    const stdout = child.stdout as Socket | null
    stdout?.unref()
    const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MS_MAX).unref()
    let output = ''
    stdout?.on('data', (bytes: Buffer) => {
      output = (output + bytes.toString('latin1')).slice(0, OUTPUT_CHARS_MAX)
    })
    const end = (code: number | null) => {
      clearTimeout(timer)
      this.#running.delete(child)
      ended(code === 0 ? output : null)
    }
    child.on('error', () => end(null))
    child.on('close', end)
  }

  close(): void {
    for (const child of this.#running) child.kill('SIGKILL')
  }
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
