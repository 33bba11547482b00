import { randomUUID } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Runs `work` while no other process of this machine runs work under the same lock file.
 *
 * The file holds the owner's pid; one whose owner is gone is taken over. Two processes may take over at the same
 * moment, so this only saves double work: what is done under it must be safe to do twice (build aside, rename).
 */
export async function withLock<T>(path: string, waitMsMax: number, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + waitMsMax
  while (!(await acquire(path))) {
    if (Date.now() > deadline) throw new Error(`another process holds ${path} for more than ${waitMsMax} ms`)
    await sleep(100)
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

async function acquire(path: string): Promise<boolean> {
  // Written aside and linked: the lock never exists without its owner's pid in it.
  const mine = `${path}.${randomUUID()}`
  await writeFile(mine, String(process.pid))
  try {
    await link(mine, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(mine, { force: true })
  }
  const owner = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10)
  if (!Number.isNaN(owner) && !isAlive(owner)) await rm(path, { force: true })
  return false
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
