/** Processes that a benchmark starts: each is ended with it, whatever happens. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const STOP_MS_MAX = 10_000
const LAST_WORDS_MAX = 2000
const JOB_MS_MAX = 600_000

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

function tracked(child: ChildProcess): ChildProcess {
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

/** A program whose last words are kept, for when it does not do what it should. */
export interface Program {
  readonly child: ChildProcess
  lastWords(): string
}

export function startProgram(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Program {
  const child = tracked(spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...(env && { env }) }))
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-LAST_WORDS_MAX)
  })
  return { child, lastWords: () => said.trim() }
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  await exited
  clearTimeout(timer)
}

export interface WorkerOptions {
  readonly flags?: readonly string[]
  /** Beside this process's own. */
  readonly environment?: NodeJS.ProcessEnv
}

/**
 * Starts a module of ours as a process: a measurement's memory and processor time are then its own.
 * @param module a URL made with `new URL('./x-worker.js', import.meta.url)`: benchmarks run compiled
 */
export function startWorker(module: URL, { flags = [], environment }: WorkerOptions = {}): ChildProcess {
  // what a worker prints must not stand between the lines of --json
  const stdio = ['ignore', 2, 2, 'ipc'] as const
  return tracked(
    fork(fileURLToPath(module), {
      execArgv: [...flags],
      env: { ...process.env, ...environment },
      stdio: [...stdio],
    }),
  )
}

/** Gives a worker its job and waits for what it answers. */
export async function ask<Job extends object, Answer>(worker: ChildProcess, job: Job): Promise<Answer> {
  const timer = setTimeout(() => worker.kill('SIGKILL'), JOB_MS_MAX)
  try {
    return await new Promise<Answer>((resolve, reject) => {
      worker.once('message', (reply: Reply<Answer>) => {
        if ('error' in reply) reject(new Error(reply.error))
        else resolve(reply.answer)
      })
      worker.once('exit', (code, signal) => reject(new Error(`a worker ended with ${signal ?? code}`)))
      worker.send(job)
    })
  } finally {
    clearTimeout(timer)
  }
}

/** One job in a process of its own. */
export async function runJob<Job extends object, Answer>(
  module: URL,
  job: Job,
  options?: WorkerOptions,
): Promise<Answer> {
  const worker = startWorker(module, options)
  const exited = once(worker, 'exit')
  try {
    return await ask<Job, Answer>(worker, job)
  } catch (error) {
    worker.kill('SIGKILL')
    throw error
  } finally {
    await exited
  }
}

type Reply<Answer> = { answer: Answer } | { error: string }

/** In a worker: does the one job and answers. The process ends by itself when nothing is left to do. */
export function onJob<Job, Answer>(work: (job: Job) => Promise<Answer>): void {
  process.once('message', async (job: Job) => {
    const reply: Reply<Answer> = await work(job).then(
      (answer) => ({ answer }),
      (error: Error) => ({ error: error.stack ?? error.message }),
    )
    process.send?.(reply, () => process.disconnect())
  })
}
