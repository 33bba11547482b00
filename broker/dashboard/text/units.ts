/** Numbers for people, as the command line shows them. */
export {
  ago,
  bytes,
  count,
  duration,
  milliseconds,
  plural,
  rate,
} from '../../operations/terminal/units.ts'

/** In a table: the time alone where it was today. */
export function timeText(at: number, now: number): string {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return String(at)
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return date.toDateString() === new Date(now).toDateString() ? time : `${dayText(date)} ${time}`
}

/** Where seconds do not matter. */
export function minuteText(at: number): string {
  const date = new Date(at)
  return `${dayText(date)} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** With the day and milliseconds, in the time zone of the one who looks. */
export function exactTime(at: number): string {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return String(at)
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return `${dayText(date)} ${time}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

function dayText(date: Date): string {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

/** On an axis: no more than it takes. 12500 -> "12.5k" */
export function short(value: number): string {
  const size = Math.abs(value)
  for (const [unit, letter] of SHORT) if (size >= unit) return `${trimmed(value / unit)}${letter}`
  return trimmed(value)
}

const SHORT = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const

function trimmed(value: number): string {
  return String(Number(value.toPrecision(3)))
}
