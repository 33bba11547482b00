/** Schedules by node-cron, which is loaded when the first one is started. */
import type { StartSchedule } from './modbus-link.ts'

/** What node-cron would print by itself. */
const silent = { info() {}, warn() {}, error() {}, debug() {} }

export const startCron: StartSchedule = async (expression, timezone, callback) => {
  const { schedule } = await import('node-cron')
  const task = schedule(expression, callback, {
    ...(timezone === 'system' ? {} : { timezone }),
    logger: silent,
    suppressMissedWarning: true,
  })
  return () => void task.destroy()
}
