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

/** Of the program itself: what is mapped of its files and always in use. */
const PROGRAM_BYTES_MAX = 48 * 1024 * 1024

/**
 * Bytes of memory that the system cannot take back without slowing this process down. What is resident is more: LevelDB maps the log's files, and who reads
 * a hundred megabytes of the log has them counted as this process's, though the system takes them back as soon as it wants them.
 */
export function heldBytes(): number {
  return heldOf(statusText()) ?? process.memoryUsage.rss()
}

/** @param status the text of /proc/self/status @returns null where it does not say */
export function heldOf(status: string): number | null {
  const bytesOf = (name: string) => {
    const [, digits] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status) ?? []
    return digits === undefined ? null : Number(digits) * 1024
  }
  const anonymous = bytesOf('RssAnon')
  if (anonymous === null) return null
  return anonymous + (bytesOf('RssShmem') ?? 0) + Math.min(bytesOf('RssFile') ?? 0, PROGRAM_BYTES_MAX)
}

function statusText(): string {
  try {
    return readFileSync('/proc/self/status', 'latin1')
  } catch {
    return ''
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
