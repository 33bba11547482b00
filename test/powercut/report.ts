/** A line a cycle, and the summary. */
import type { Output } from '../../broker/operations/terminal/output.ts'
import { bytes, count, milliseconds, plural } from '../../broker/operations/terminal/units.ts'
import { median } from '../bench/statistics.ts'
import type { CycleResult } from './history.ts'
import { type CyclePlan, momentsOf } from './plan.ts'

export interface CycleLine extends CycleResult {
  readonly cycle: number
  readonly scenario: string
  readonly plan: CyclePlan
}

export interface Summary {
  readonly seed: number
  readonly cycles: number
  readonly powerCuts: number
  /** By moment. */
  readonly moments: Readonly<Record<string, number>>
  /** By what the device lost of its cache. */
  readonly losses: Readonly<Record<string, number>>
  readonly acknowledged: number
  readonly tornTails: number
  readonly recoveryMsMedian: number
  readonly recoveryMsMax: number
  readonly problems: readonly string[]
  readonly seconds: number
}

const COLUMNS = [
  ['cycle', 6],
  ['acknowledged', 13],
  ['recovered', 11],
  ['recovery', 10],
  ['torn tail', 11],
] as const

export class Reporter {
  readonly #out: Output
  readonly #isJson: boolean
  readonly #lines: CycleLine[] = []
  readonly #started = performance.now()
  #scenario = ''

  constructor(out: Output, isJson: boolean) {
    this.#out = out
    this.#isJson = isJson
  }

  cycle(line: CycleLine): void {
    this.#lines.push(line)
    if (this.#isJson) {
      this.#out.line(JSON.stringify(line))
      return
    }
    if (this.#lines.length === 1) this.#heading()
    if (line.scenario !== this.#scenario)
      this.#out.line(this.#out.paint('dim', `on a new disk: ${line.scenario}`))
    this.#scenario = line.scenario
    const cells = [
      String(line.cycle),
      count(line.acknowledged),
      count(line.newRecords),
      milliseconds(line.recoveryMs),
      line.tornBytes === 0 ? '-' : bytes(line.tornBytes),
    ]
    const left = cells.map((cell, i) => cell.padStart(COLUMNS[i]![1])).join('')
    const cuts = momentsOf(line.plan).map((moment, i) => `${moment} (${line.cuts[i]!.loss})`)
    this.#out.line(`${left}   ${cuts.join(', then ')}`)
  }

  summary(seed: number, problems: readonly string[]): Summary {
    const summary = this.#summarize(seed, problems)
    if (this.#isJson) this.#out.line(JSON.stringify({ summary }))
    else this.#print(summary)
    return summary
  }

  #heading(): void {
    const left = COLUMNS.map(([title, width]) => title.padStart(width)).join('')
    this.#out.line(this.#out.paint('dim', `${left}   cut during (lost of the device’s cache)`))
  }

  #summarize(seed: number, problems: readonly string[]): Summary {
    const lines = this.#lines
    const recoveries = lines.map(({ recoveryMs }) => recoveryMs)
    return {
      seed,
      cycles: lines.length,
      powerCuts: lines.reduce((sum, { cuts }) => sum + cuts.length, 0),
      moments: tally(lines.flatMap(({ plan }) => momentsOf(plan))),
      losses: tally(lines.flatMap(({ cuts }) => cuts.map(({ loss }) => loss))),
      acknowledged: lines.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
      tornTails: lines.filter(({ tornBytes }) => tornBytes > 0).length,
      recoveryMsMedian: Math.round(median(recoveries)),
      recoveryMsMax: Math.round(Math.max(0, ...recoveries)),
      problems,
      seconds: Math.round((performance.now() - this.#started) / 1000),
    }
  }

  #print(summary: Summary): void {
    const out = this.#out
    const list = (counts: Readonly<Record<string, number>>) =>
      Object.entries(counts)
        .map(([name, times]) => `${name} ${times}`)
        .join(', ')
    out.line()
    for (const problem of summary.problems) out.line(`${out.paint('red', 'fault')}  ${problem}`)
    out.line(
      `${plural(summary.cycles, 'cycle')} with ${plural(summary.powerCuts, 'power cut')} in ${summary.seconds} s, seed ${summary.seed}`,
    )
    out.line(`  cut during: ${list(summary.moments)}`)
    out.line(`  lost of the device’s cache: ${list(summary.losses)}`)
    out.line(
      `  ${count(summary.acknowledged)} acknowledged records; ${plural(summary.tornTails, 'torn tail')}; ` +
        `broker up in ${milliseconds(summary.recoveryMsMedian)} at the median, ${milliseconds(summary.recoveryMsMax)} at most`,
    )
    out.line(
      summary.problems.length === 0
        ? `${out.paint('green', 'whole')}: 0 acknowledged records lost, 0 starts that needed help`
        : `${out.paint('red', 'damaged')}: ${plural(summary.problems.length, 'fault')}`,
    )
  }
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names.toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
