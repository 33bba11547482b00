/**
 * A directory for what is measured, on the disk of the data directory, and gone afterwards. Its name has the process in it: what one
 * that was killed left behind is cleared away by the next.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** A dot at the beginning: the broker's own files have none, and it passes these by. */
const PREFIX = '.headwater-scratch-'

export async function withScratch<T>(place: string, work: (directory: string) => Promise<T>): Promise<T> {
  await clearLeftovers(place)
  const directory = await mkdtemp(join(place, `${PREFIX}${process.pid}-`))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function clearLeftovers(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    if (!name.startsWith(PREFIX)) continue
    const pid = Number.parseInt(name.slice(PREFIX.length), 10)
    if (!isAlive(pid)) await rm(join(place, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
