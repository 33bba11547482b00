import type { Clock } from '../../sync/clock.ts'

/** Time that passes as soon as somebody waits for it. */
export function hastyClock(): Clock & { time: number } {
  const clock = {
    time: 0,
    now: () => clock.time,
    monotonic: () => clock.time,
    after(ms: number, callback: () => void) {
      clock.time += ms
      const timer = setImmediate(callback)
      return () => clearImmediate(timer)
    },
  }
  return clock
}
