/**
 * Prometheus' text format 0.0.4:
 *
 *   family := "# HELP " name " " help "\n# TYPE " name " " type "\n" { sample }
 *   sample := name [ "{" label { "," label } "}" ] " " value "\n"
 *   label  := name "=\"" value "\""        in help \ and line feeds are escaped, in values of labels " as well
 *
 *   # HELP headwater_upstream_lag_records Records that upstream is to get.
 *   # TYPE headwater_upstream_lag_records gauge
 *   headwater_upstream_lag_records{upstream="central"} 12
 */

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export type MetricType = 'counter' | 'gauge' | 'histogram'
export type Labels = Readonly<Record<string, string | number>>
/** A value of null has no sample. */
export type Sample = readonly [labels: Labels, value: number | null]

export interface Histogram {
  /** Upper edges, rising, and how many were at most so large. */
  readonly buckets: readonly (readonly [edge: number, upTo: number])[]
  readonly count: number
  readonly sum: number
}

export const one = (value: number | null): Sample[] => [[{}, value]]

/** Counts by reason: one sample each. */
export function byReason(counts: Readonly<Record<string, number>>, more: Labels = {}): Sample[] {
  return Object.entries(counts).map(([reason, value]) => [{ ...more, reason }, value])
}

export class Exposition {
  readonly #prefix: string
  readonly #parts: string[] = []

  /** @param prefix of all names */
  constructor(prefix = '') {
    this.#prefix = prefix
  }

  /** A family without samples is left out. */
  write(type: 'counter' | 'gauge', name: string, help: string, samples: readonly Sample[]): void {
    const known = samples.filter(([, value]) => value !== null)
    if (known.length === 0) return
    this.#head(type, name, help)
    for (const [labels, value] of known) this.#sample(name, labels, value as number)
  }

  writeHistogram(name: string, help: string, { buckets, count, sum }: Histogram): void {
    this.#head('histogram', name, help)
    for (const [edge, upTo] of buckets) this.#sample(`${name}_bucket`, { le: edge }, upTo)
    this.#sample(`${name}_bucket`, { le: '+Inf' }, count)
    this.#sample(`${name}_sum`, {}, sum)
    this.#sample(`${name}_count`, {}, count)
  }

  toString(): string {
    return this.#parts.join('')
  }

  #head(type: MetricType, name: string, help: string): void {
    const full = this.#prefix + name
    this.#parts.push(`# HELP ${full} ${escapedHelp(help)}\n# TYPE ${full} ${type}\n`)
  }

  #sample(name: string, labels: Labels, value: number): void {
    this.#parts.push(`${this.#prefix}${name}${labelText(labels)} ${numberText(value)}\n`)
  }
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}

function escapedHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function escaped(text: string): string {
  return escapedHelp(text).replaceAll('"', '\\"')
}
