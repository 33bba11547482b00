/**
 * Every alarm there is. docs/operate.md says of each what it means and what to do; alert rules know them by these words: one is added, none is
 * changed.
 *
 *   opens    once it was found so for so many seconds without a gap
 *   closes   once it was not found for so many seconds: one that comes and goes stays open
 */

export interface AlarmTimes {
  readonly opensSeconds: number
  readonly closesSeconds: number
}

const at = (opensSeconds: number, closesSeconds: number): AlarmTimes => ({ opensSeconds, closesSeconds })
/** Of what is known for certain at one look. */
const AT_ONCE = at(0, 30)
/** Of what is counted over a window of its own. */
const COUNTED = at(0, 60)
const HOUR = 3600

export const ALARMS = {
  'log-failed': AT_ONCE,
  'disk-full': AT_ONCE,
  'disk-nearly-full': at(60, 300),
  'commits-failing': COUNTED,
  'commits-slow': at(30, 120),
  'log-damaged': AT_ONCE,
  'sessions-unwritable': AT_ONCE,
  'unsynced-dropped': at(0, HOUR),
  'upstream-stopped': AT_ONCE,
  'upstream-stalled': at(600, 60),
  'upstream-lagging': at(60, 300),
  'upstream-paused': at(HOUR, 0),
  'stream-refused': AT_ONCE,
  'downlink-stopped': AT_ONCE,
  'downlink-stalled': at(600, 60),
  'downlink-paused': at(HOUR, 0),
  'certificate-due': AT_ONCE,
  // certificate and key are replaced one after the other, and looked at each half minute
  'certificate-unusable': at(90, 0),
  'clock-untrusted': at(300, 60),
  'card-life-short': at(600, HOUR),
  'file-system-unsafe': AT_ONCE,
  'memory-high': at(60, 300),
  'connection-limit': AT_ONCE,
  'logins-refused': COUNTED,
  'messages-dropped': COUNTED,
  'dead-letters': COUNTED,
  'table-failed': at(30, 60),
  'restart-needed': at(0, 0),
} as const satisfies Record<string, AlarmTimes>

export type AlarmId = keyof typeof ALARMS
