/** headwater.h in a process, under sanitizers, driven line by line: see driver.c. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buildDirectory, compile, DEVICE, WARNINGS } from './compilers.ts'
import { Deframer } from './frames.ts'

export const State = { off: 0, connecting: 1, refused: 2, connected: 3, asleep: 4, awake: 5 } as const
export const Result = { acknowledged: 0, congested: 1, invalidTopic: 2, notSupported: 3 } as const
export const Action = { published: 0, subscribed: 1, unsubscribed: 2 } as const
export const Problem = { none: 0, busy: 1, tooLong: 2, notNow: 3 } as const

const SANITIZED = ['-std=c99', ...WARNINGS, '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']

/** Compiles the driver. @param defines such as `HW_WITH_WILL=1` */
export function buildDriver(...defines: string[]): { path: string; remove: () => void } {
  const directory = buildDirectory()
  const path = join(directory.path, 'driver')
  const source = join(import.meta.dirname, 'driver.c')
  const flags = defines.map((define) => `-D${define}`)
  compile('cc', [...SANITIZED, ...flags, '-I', DEVICE, source, '-o', path])
  return { path, remove: directory.remove }
}

export interface Reading {
  readonly state: number
  readonly dropped: number
  readonly repeated: number
  readonly isBusy: boolean
  readonly dueMs: number
  readonly unixMs: number
  readonly isTrusted: boolean
}

export class Device {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting: {
    lines: string[]
    resolve: (lines: string[]) => void
    reject: (error: Error) => void
  }[] = []
  readonly #deframer = new Deframer()
  readonly #isBare: boolean
  #said = ''
  /** Milliseconds of the device's clock. */
  now = 0

  constructor(path: string, { isBare = false } = {}) {
    this.#isBare = isBare
    this.#child = spawn(path, { env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' } })
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line))
    this.#child.stderr.on('data', (text) => {
      this.#said += text
    })
    this.#child.on('close', (code) => {
      for (const { reject } of this.#waiting.splice(0))
        reject(new Error(`the device ended (${code}): ${this.#said}`))
    })
  }

  end(): void {
    this.#child.kill()
  }

  /** Several commands, in one piece. @returns what came of them, line by line */
  async do(...commands: string[]): Promise<string[]> {
    const answers = commands.map(
      () =>
        new Promise<string[]>((resolve, reject) => {
          this.#waiting.push({ lines: [], resolve, reject })
        }),
    )
    this.#child.stdin.write(`${commands.join('\n')}\n`)
    return (await Promise.all(answers)).flat()
  }

  /** Lets time pass and polls at its end. */
  pass(ms: number): Promise<string[]> {
    this.now += ms
    return this.do(`now ${this.now}`, 'poll')
  }

  async read(): Promise<Reading> {
    const [line] = await this.do('read')
    const [state, dropped, repeated, busy, dueMs, unixMs, trusted] = line!.split(' ').slice(1).map(Number)
    return {
      state: state!,
      dropped: dropped!,
      repeated: repeated!,
      isBusy: busy === 1,
      dueMs: dueMs!,
      unixMs: unixMs!,
      isTrusted: trusted === 1,
    }
  }

  /** The messages among what came of commands. */
  sent(lines: readonly string[]): Buffer[] {
    return lines
      .filter((line) => line.startsWith('out '))
      .map((line) => Buffer.from(line.slice(4), 'hex'))
      .flatMap((bytes) => (this.#isBare ? [bytes] : this.#deframer.push(bytes)))
  }

  #take(line: string): void {
    const [first] = this.#waiting
    if (first === undefined) throw new Error(`the device said ${line} when nobody had asked`)
    if (line !== 'ok') {
      first.lines.push(line)
      return
    }
    this.#waiting.shift()
    first.resolve(first.lines)
  }
}

/** All but what went over the wire. */
export function told(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith('out '))
}
