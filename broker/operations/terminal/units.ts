/** Numbers for people: always with a unit, never wider than they need to be. */

/** 1234567 -> "1,234,567" */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',')
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** Powers of 1000, as disks are sold. */
export function bytes(value: number): string {
  if (value < 1000) return `${Math.round(value)} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let scaled = value / 1000
  let unit = 0
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000
    unit++
  }
  return `${scaled < 9.95 ? scaled.toFixed(1) : Math.round(scaled)} ${units[unit]}`
}

/** Per second; one digit after the point where that matters. */
export function rate(value: number): string {
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : count(value)}/s`
}

export function milliseconds(value: number): string {
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ms`
}

/** The two largest units: "3 h 12 min". */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return both(minutes, 'min', seconds % 60, 's')
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return both(hours, 'h', minutes % 60, 'min')
  return both(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

function both(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`
}

export function ago(at: number | null, now = Date.now()): string {
  return at === null ? 'never' : `${duration(now - at)} ago`
}

/** 2026-01-05 22:00, by the clock of this machine. */
export function localTime(time: number): string {
  const date = new Date(time)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}
