/** A moment of a load: the clock, and the processor time of both sides. */
import { cpuSeconds } from '../process-usage.ts'

export interface Snapshot {
  /** All in seconds. */
  readonly at: number
  readonly server: number
  readonly own: number
}

export function snapshot(serverPid: number): Snapshot {
  const { user, system } = process.cpuUsage()
  return { at: performance.now() / 1000, server: cpuSeconds(serverPid), own: (user + system) / 1e6 }
}
