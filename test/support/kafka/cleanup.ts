/**
 * What must not outlive the process: brokers, containers, temporary directories.
 *
 * Three ways out are covered. A normal exit and a signal run the registered cleanups here. A SIGKILL (the test
 * runner does that to a worker that hangs) runs nothing, so each child also has a reaper: a shell that waits for
 * the end of its standard input, which the kernel closes when this process is gone, however it went.
 */
import { type ChildProcess, spawn } from 'node:child_process'

const cleanups = new Set<() => void>()
let installed = false

/** Runs `cleanup` (synchronous) when this process exits or is told to; the result takes it back. */
export function onExit(cleanup: () => void): () => void {
  installHandlers()
  cleanups.add(cleanup)
  return () => cleanups.delete(cleanup)
}

/**
 * Runs the shell command `script`, with `args` as $1, $2..., once this process is gone without having called the
 * result.
 */
export function whenOrphaned(script: string, args: string[]): () => void {
  // A session of its own: Ctrl-C in a terminal reaches the whole foreground group and would end the reaper first.
  const reaper: ChildProcess = spawn('/bin/sh', ['-c', `read -r _; ${script}`, 'reaper', ...args], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  reaper.on('error', () => {})
  reaper.stdin?.on('error', () => {})
  reaper.unref()
  const stdin = reaper.stdin as unknown as { unref?: () => void } | null
  stdin?.unref?.()
  return () => void reaper.kill('SIGKILL')
}

function runAll(): void {
  for (const cleanup of cleanups) {
    cleanups.delete(cleanup)
    try {
      cleanup()
    } catch {
      // The others still have to run, and nobody is left to tell.
    }
  }
}

function installHandlers(): void {
  if (installed) return
  installed = true
  process.on('exit', runAll)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      runAll()
      // Our listener took the default action away; give it back unless someone else decides about the exit.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
    })
  }
}
