/** The process of a program with commands: its signals, its pipes, its last words, and which way the command line sends it. */
import { errorLine, HeadwaterError } from '../errors.ts'
import { ConfigProblems } from './commands/context.ts'
import { explained } from './errors.ts'
import { ExitCode, exitCodeFor } from './exit-codes.ts'
import { PLAN_COMMAND } from './plan-apart.ts'
import { COMPLETE_COMMAND } from './terminal/completion/command.ts'
import type { Output } from './terminal/output.ts'
import { printable } from './terminal/printable.ts'

const EXIT_MS = 1000

export interface ProgramWays {
  /** Until it is to end. */
  start(args: readonly string[]): Promise<void>
  /** What a shell may put behind these words. */
  complete(words: readonly string[]): Promise<void>
  run(args: readonly string[]): Promise<void>
}

let interruption: AbortController | null = null

/** Aborts on the first SIGINT or SIGTERM; the second ends the process. */
export function interrupted(): AbortSignal {
  if (interruption !== null) return interruption.signal
  const controller = new AbortController()
  interruption = controller
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + number)
      controller.abort()
    })
  }
  return controller.signal
}

/** @param name of the program, before each of its lines @param codes exit codes by those of its own errors */
export async function runMain(
  name: string,
  err: Output,
  ways: ProgramWays,
  codes: Readonly<Record<string, number>> = {},
): Promise<void> {
  const fail = (thrown: unknown): void => {
    if (process.env.HEADWATER_DEBUG) console.error(thrown)
    const error = explained(thrown)
    const isConfig = error instanceof ConfigProblems
    for (const line of isConfig ? error.problems.map(errorLine) : [lineOf(error)]) {
      err.line(`${name}: ${printable(line)}`)
    }
    process.exitCode = isConfig ? ExitCode.usage : exitCodeFor(error, codes)
  }
  const words = process.argv.slice(2)
  const [command, ...args] = words
  // A reader that has seen enough (`| head`) is no error. What runs for years does not end because nobody reads, or because a disk is full.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (command === 'start') return
    if (error.code === 'EPIPE') process.exit(ExitCode.ok)
    err.line(`${name}: standard output: ${error.message}`)
    process.exit(ExitCode.failed)
  })
  // The same of what is told beside it; the exit code stays what it is.
  process.stderr.on('error', () => {})
  // The state of a program that did not expect its own error is not to be trusted. What was acknowledged is on disk, or with the broker.
  process.on('uncaughtException', (error) => {
    fail(error)
    process.exit(ExitCode.failed)
  })
  try {
    if (command === 'start') await ways.start(args)
    else if (command === COMPLETE_COMMAND) await ways.complete(args)
    else await ways.run(command === PLAN_COMMAND ? ['start', ...args] : words)
  } catch (error) {
    fail(error)
  }
  // All is closed by now. A disk or a connection that does not let go is not waited for; a pipe's reader is.
  if (command === 'start') setTimeout(() => process.exit(), EXIT_MS).unref()
}

/** What no one foresaw says where it happened: in the field there is no second chance to look. */
function lineOf(error: unknown): string {
  if (error instanceof HeadwaterError || !(error instanceof Error)) return errorLine(error)
  const frame = /^ *at (.*)$/m.exec(error.stack ?? '')?.[1] ?? 'unknown place'
  return `HW_INTERNAL: ${error.message} (${frame}) - please report it; HEADWATER_DEBUG=1 prints more`
}
