/** The process of data-directory-child.ts, as a test talks to it. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Request, Started } from './data-directory-child.ts'

/** Compiled: `npm run build` */
const CHILD = fileURLToPath(new URL('../../dist/test/support/data-directory-child.js', import.meta.url))

export class DirectoryProcess {
  #child: ChildProcess | null = null

  /** What the child says; null where the process ended over it. The next call has a new process. */
  async start(request: Request): Promise<Started | null> {
    const child = this.#child ?? fork(CHILD, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    this.#child = child
    return new Promise((resolve) => {
      const onExit = () => {
        this.#child = null
        resolve(null)
      }
      child.once('exit', onExit)
      child.once('message', (started) => {
        child.off('exit', onExit)
        resolve(started as Started)
      })
      child.send(request)
    })
  }

  /** As `kill -9` does. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
}
