/** What a directory takes of its disk, and what all processes together write to that disk. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const SECTOR_BYTES = 512
/** Of /sys/dev/block/<device>/stat: sectors written, the seventh (Documentation/block/stat.rst of Linux). */
const SECTORS_WRITTEN = 6

/** Bytes of all files below a directory, whoever writes to them meanwhile. */
export function directoryBytes(path: string): number {
  let bytes = 0
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const name = join(path, entry.name)
      bytes += entry.isDirectory() ? directoryBytes(name) : statSync(name).size
    }
  } catch (error) {
    // it went while we looked
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return bytes
}

/** Looks at a directory's size from outside the process that writes there. */
export class SizeWatch {
  readonly #path: string
  readonly #timer: NodeJS.Timeout
  #largest = 0

  constructor(path: string, everyMs = 20) {
    this.#path = path
    this.#timer = setInterval(() => this.#look(), everyMs)
  }

  /** @returns the largest size that was seen */
  stop(): number {
    clearInterval(this.#timer)
    this.#look()
    return this.#largest
  }

  #look(): void {
    this.#largest = Math.max(this.#largest, directoryBytes(this.#path))
  }
}

/** Waits until the file system of this path has written what it holds in memory. @returns false where that cannot be asked */
export function syncFileSystem(path: string): boolean {
  try {
    execFileSync('sync', ['-f', path], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * Bytes written so far to the device below a path, of all processes and the file system's journal, once all is written. NaN where the
 * device is not known, as on overlays and in memory.
 */
export function diskBytesWritten(path: string): number {
  if (!syncFileSystem(path)) return Number.NaN
  try {
    const stat = readFileSync(`/sys/dev/block/${deviceNumbers(statSync(path).dev)}/stat`, 'latin1')
    return Number(stat.trim().split(/\s+/)[SECTORS_WRITTEN]) * SECTOR_BYTES
  } catch {
    return Number.NaN
  }
}

/** `major:minor`, as glibc packs them into one number. */
export function deviceNumbers(device: number): string {
  const packed = BigInt(device)
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & 0xfffff000n)
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}
