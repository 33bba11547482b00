/** The clocks of the operating system, and the name of its boot. */
import { randomUUID } from 'node:crypto'
import { uptime } from 'node:os'
import type { ClockHost } from './clock-host.ts'

export interface SystemTime {
  /** ms since 1970, as the operating system says it; may jump. */
  wall(): number
  /** ms since the boot; never jumps, but stands still while the machine is suspended. */
  monotonic(): number
  /** ms for which the machine was suspended since its boot, to about 10 ms; asked only when the wall clock seems to have jumped. */
  suspended(): number
}

const NS_PER_MS = 1e6

/** `performance.now()` counts from the start of the process; process.hrtime from the boot. */
const processStart = Number(process.hrtime.bigint()) / NS_PER_MS - performance.now()

export const systemTime: SystemTime = {
  wall: Date.now,
  monotonic: () => performance.now() + processStart,
  suspended: () => {
    // elsewhere uptime() is taken from the wall clock, and would follow its jumps
    if (process.platform !== 'linux') return 0
    return Math.max(0, uptime() * 1000 - Number(process.hrtime.bigint()) / NS_PER_MS)
  },
}

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id'

/** The kernel's name for this boot; where it has none, a random one, which ends with the process. */
export function readBootId(host: ClockHost): string {
  const text = host.readText(BOOT_ID_FILE)?.trim()
  return text !== undefined && /^[0-9a-f-]{36}$/.test(text) ? text : randomUUID()
}
