/** The clock of this machine. */
import { NodeClockHost } from './clock-host.ts'
import type { ClockParts } from './clock-watch.ts'
import { readBootId, systemTime } from './system-time.ts'
import { TrustProbes } from './trust-probes.ts'

export function systemClock(): ClockParts {
  const host = new NodeClockHost()
  return {
    time: systemTime,
    bootId: readBootId(host),
    probes: new TrustProbes(host),
    after(ms, callback) {
      const timer = setTimeout(callback, ms).unref()
      return () => clearTimeout(timer)
    },
  }
}
