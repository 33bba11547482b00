/** Where a benchmark writes: a directory of its own, removed at the end. */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const TMPFS_MAGIC = 0x01021994
const RAMFS_MAGIC = 0x858458f6

export class Scratch {
  readonly path: string
  /** An fsync costs nothing there, and no bytes go to a device. */
  readonly isInMemory: boolean
  #names = 0

  /** @param base an existing directory on the disk to measure; the system's temporary directory by default. */
  constructor(base = tmpdir()) {
    this.path = mkdtempSync(join(base, 'headwater-bench-'))
    const { type } = statfsSync(this.path)
    this.isInMemory = type === TMPFS_MAGIC || type === RAMFS_MAGIC
    process.once('exit', () => this.remove())
  }

  /** A path in it that was not given before. */
  fresh(name: string): string {
    return join(this.path, `${name}-${++this.#names}`)
  }

  discard(path: string): void {
    rmSync(path, { recursive: true, force: true })
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }

  /** What a reader of the figures has to know about the disk. */
  notes(): string[] {
    return this.isInMemory
      ? [`${this.path} is in memory: fsync costs nothing there. Give a directory on a disk with --dir.`]
      : []
  }
}
