/** What Linux says a process used, from /proc (proc(5)). */
import { readFileSync } from 'node:fs'

/** Linux counts processor time for user space in hundredths of a second on every architecture. */
const TICKS_PER_SECOND = 100

/** Processor seconds, all threads, user and system. @param pid or `self` */
export function cpuSeconds(pid: number | 'self'): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // the name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

export interface Memory {
  readonly rssBytes: number
  /** The highest since the process began. */
  readonly rssPeakBytes: number
  /** Of the RSS, what is no mapped file: the kernel cannot drop it. LevelDB maps the tables it reads. */
  readonly rssAnonBytes: number
}

export function memory(pid: number | 'self'): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(status)?.[1])
  return {
    rssBytes: kilobytes('VmRSS') * 1024,
    rssPeakBytes: kilobytes('VmHWM') * 1024,
    rssAnonBytes: kilobytes('RssAnon') * 1024,
  }
}

export interface WrittenBytes {
  /** Bytes that this process sent to block devices; file systems in memory count none. */
  readonly deviceBytes: number
  /** Bytes that it had dirtied, in files that were removed before they had to be written. */
  readonly cancelledBytes: number
}

/**
 * Linux counts a page in `write_bytes` when it is dirtied, and in `cancelled_write_bytes` when a file goes with pages that were not
 * written yet: of the process that removes the file, whoever dirtied them.
 */
export function writtenBytes(): WrittenBytes {
  const io = readFileSync('/proc/self/io', 'latin1')
  const field = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(io)?.[1])
  const cancelledBytes = field('cancelled_write_bytes')
  return { deviceBytes: field('write_bytes') - cancelledBytes, cancelledBytes }
}

/** A moment in this process, to measure from. */
export interface Moment {
  readonly at: number
  readonly cpu: NodeJS.CpuUsage
  readonly written: WrittenBytes
}

export function moment(): Moment {
  return { at: performance.now(), cpu: process.cpuUsage(), written: writtenBytes() }
}

/** What this process used since then, all its threads. */
export function usedSince(start: Moment) {
  const { user, system } = process.cpuUsage(start.cpu)
  const { deviceBytes, cancelledBytes } = writtenBytes()
  return {
    seconds: (performance.now() - start.at) / 1000,
    cpuSeconds: (user + system) / 1e6,
    deviceBytes: deviceBytes - start.written.deviceBytes,
    cancelledBytes: cancelledBytes - start.written.cancelledBytes,
    ...memory('self'),
  }
}
