/**
 * Filters that ask for a stream's history instead of topics:
 *
 *     replay := "$replay/" STREAM "/" from
 *     from   := "earliest" | "latest" | "@" TIME | PARTITION "/" OFFSET
 *     TIME   := a date, or a date and a time, of ISO 8601, such as 2026-03-01T12:00:00Z; without a zone it is UTC
 *
 * PARTITION and OFFSET are decimal. An offset is of one partition, the other forms are of all.
 */

const ROOT = '$replay'
const DECIMAL = /^[0-9]{1,15}$/
/** A date alone is UTC by the standard; a time without a zone would be taken as the broker's local time. */
const TIME =
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$/

export type ReplayStart =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  /** ms since 1970 */
  | { readonly kind: 'time'; readonly timestamp: number }
  | { readonly kind: 'offset'; readonly partition: number; readonly offset: number }

export interface ReplayRequest {
  readonly stream: string
  readonly start: ReplayStart
}

/** @param filter without `$share/NAME/` */
export function isReplayFilter(filter: string): boolean {
  return filter.startsWith(ROOT) && (filter.length === ROOT.length || filter[ROOT.length] === '/')
}

/** @returns why it is none, as text */
export function parseReplayFilter(filter: string): ReplayRequest | string {
  const [, stream, from, offset, ...more] = filter.split('/')
  if (stream === undefined || stream === '' || from === undefined || more.length > 0) {
    return 'it is not $replay/STREAM/earliest, /latest, /@TIME or /PARTITION/OFFSET'
  }
  if (offset !== undefined) {
    if (!DECIMAL.test(from) || !DECIMAL.test(offset)) return 'partition and offset are numbers'
    return { stream, start: { kind: 'offset', partition: Number(from), offset: Number(offset) } }
  }
  if (from === 'earliest' || from === 'latest') return { stream, start: { kind: from } }
  if (!from.startsWith('@')) return `"${from}" is not earliest, latest, @TIME or PARTITION/OFFSET`
  const text = from.slice(1)
  const hasZone = !text.includes('T') || /(Z|[+-][0-9]{2}:[0-9]{2})$/.test(text)
  const timestamp = TIME.test(text) ? Date.parse(hasZone ? text : `${text}Z`) : Number.NaN
  if (Number.isNaN(timestamp)) return `"${text}" is no time such as 2026-03-01T12:00:00Z`
  return { stream, start: { kind: 'time', timestamp } }
}
