/** Time, as the bridge sees it; a test hands in its own. */
export { type Clock, systemClock } from '../broker/timers.ts'
