/**
 * Schedules in node-cron's form, which is loaded when the first one is started. The waiting is ours: node-cron walks through every time that
 * a clock which was put forward has left out (a Pi without a battery is months behind until it has reached a time server: half a minute at
 * every ten seconds, with nothing else done meanwhile), and after one that was put back it waits for the time of before.
 */
import { systemClock } from './timers.ts'

/** What node-cron would print by itself. */
const silent = { info() {}, warn() {}, error() {}, debug() {} }
/** How long a clock that jumped goes unseen. */
const LOOK_MS_MAX = 5000

/**
 * Calls back at each time that the expression names, once.
 * @param timezone a name of the time zone database, or `system`
 * @returns the way to stop
 */
export async function startCron(
  expression: string,
  timezone: string,
  callback: () => void,
): Promise<() => void> {
  const { createTask } = await import('node-cron')
  const task = createTask(expression, () => {}, {
    ...(timezone === 'system' ? {} : { timezone }),
    logger: silent,
  })
  const next = () => task.getNextRuns(1)[0]!.getTime()
  let dueAt = next()
  let cancel = () => {}
  const look = (): void => {
    const isDue = systemClock.now() >= dueAt
    // missed ones are not made up for; put back, the clock has an earlier one
    dueAt = isDue ? next() : Math.min(dueAt, next())
    if (isDue) callback()
    wait()
  }
  const wait = (): void => {
    cancel = systemClock.after(Math.min(Math.max(dueAt - systemClock.now(), 1), LOOK_MS_MAX), look)
  }
  wait()
  return () => {
    cancel()
    void task.destroy()
  }
}
