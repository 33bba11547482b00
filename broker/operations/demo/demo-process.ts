/**
 * Starts the demo as a child process: mqtt.js alone takes some 12 MB, and what the broker uses should be seen without it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { LogSink } from '../../log-sink.ts'
import { OWN_FILES } from '../../own-files.ts'

/** The child needs little; without limits Node would let it grow before it collects. */
const NODE_OPTIONS = ['--max-old-space-size=64', '--max-semi-space-size=1']

export interface DemoProcess {
  readonly description: string
  close(): Promise<void>
}

/** @param listener an address that the broker listens on, `host:port` */
export function startDemo(
  listener: string,
  login: { readonly username: string; readonly password: string },
  seed: number,
  log: LogSink,
): DemoProcess {
  const child = fork(OWN_FILES.demo, [reachable(listener), String(seed)], {
    execArgv: NODE_OPTIONS,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  // not among its arguments, which every user of this machine can see
  child.send(login, () => {})
  let isClosing = false
  child.once('error', (error) => log.error('the demo did not start', { reason: error.message }))
  child.once('exit', (code, signal) => {
    if (!isClosing) log.warn('the demo ended by itself', { code, signal })
  })
  return {
    description: `this machine's sensors and 20 simulated ones publish to demo/# (pid ${child.pid ?? 'none'}, seed ${seed})`,
    async close() {
      isClosing = true
      await ended(child)
    },
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exit = new Promise((resolve) => child.once('exit', resolve))
  if (child.connected) child.disconnect()
  const timer = setTimeout(() => child.kill('SIGKILL'), 2000)
  await exit
  clearTimeout(timer)
}

/** A listener on every interface is reached through the loopback. */
function reachable(listener: string): string {
  return listener.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:')
}
