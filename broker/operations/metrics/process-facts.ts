/** What the kernel and the runtime count for this process. */
import { readdirSync, readFileSync } from 'node:fs'
import { totalmem } from 'node:os'

export interface ProcessFacts {
  readonly residentBytes: number
  readonly heapBytes: number
  readonly cpuSeconds: number
  /** null where the system does not tell: elsewhere than on Linux. */
  readonly openFiles: number | null
  readonly openFilesMax: number | null
  /** Since the start; the rest of the time the loop had nothing to do. */
  readonly loopActiveSeconds: number
  /** The limit that the service or the container has; null where it is all of the machine. */
  readonly memoryBytesMax: number | null
  /**
   * `write_bytes` of /proc/self/io: what this process had the kernel write to the device, in whole pages, from the log, tables and sessions to the
   * archive. LevelDB's own numbers would leave out what is written beside it, and know of no pages: on a card a page is what wears.
   */
  readonly writtenBytes: number | null
}

export function processFacts(): ProcessFacts {
  const { user, system } = process.cpuUsage()
  return {
    residentBytes: process.memoryUsage.rss(),
    heapBytes: process.memoryUsage().heapUsed,
    cpuSeconds: (user + system) / 1e6,
    openFiles: openFiles(),
    openFilesMax: openFilesMax(),
    loopActiveSeconds: performance.eventLoopUtilization().active / 1000,
    memoryBytesMax: memoryBytesMax(),
    writtenBytes: writtenBytes(),
  }
}

/** The files are the kernel's: reading them waits for no disk. */
export function writtenBytes(): number | null {
  try {
    const [, digits] = /^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1')) ?? []
    return digits === undefined ? null : Number(digits)
  } catch {
    return null
  }
}

/** The limit that the service or the container has (MemoryMax); null where it is all of the machine. */
export function memoryBytesMax(): number | null {
  const limit = process.constrainedMemory()
  return limit > 0 && limit < totalmem() ? limit : null
}

function openFiles(): number | null {
  try {
    // one of them is this look
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return null
  }
}

function openFilesMax(): number | null {
  try {
    const [, soft] = /^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}
