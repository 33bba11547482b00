/** A part of the log's benchmark, measured by itself: its tables, its charts, and what their reader has to know. */
import { runJob, type WorkerOptions } from '../children.ts'
import { type BenchOptions, profileFlags } from '../options.ts'
import type { BarGroup } from '../plots/bar-chart.ts'
import type { Chart } from '../plots/plots.ts'
import type { Section } from '../report.ts'
import type { Scratch } from '../scratch.ts'
import { startSettings } from '../start-settings.ts'
import type { LogJob, LogResult } from './job.ts'

export interface LogOptions extends BenchOptions {
  /** Payload that each case of append and spread writes. */
  readonly megabytes: number
  readonly compactedMegabytes: number
  /** Where charts go; true is the usual place. */
  readonly plots?: string | true
}

export interface PartReport {
  readonly sections: readonly Section[]
  readonly notes: readonly string[]
  readonly charts?: readonly Chart[]
  /** For the chart of bytes written to the device per payload byte, which several parts fill. */
  readonly written?: readonly BarGroup[]
}

export interface Part {
  readonly name: string
  measure(bench: LogBench): Promise<PartReport>
}

const WORKER = new URL('./jobs/worker.js', import.meta.url)
const QUICK_SHARE = 0.1

/** What the parts have in common. */
export class LogBench {
  readonly options: LogOptions
  readonly scratch: Scratch
  readonly #settings: WorkerOptions

  constructor(options: LogOptions, scratch: Scratch) {
    this.options = options
    this.scratch = scratch
    const { environment, flags } = startSettings()
    this.#settings = { environment, flags: [...flags, ...profileFlags(options.profile)] }
  }

  /** One job in a process of its own, started as `npm start` starts the broker. */
  run<Answer extends object>(job: LogJob): Promise<Answer> {
    return runJob<LogJob, Answer>(WORKER, job, this.#settings)
  }

  /** As much as is measured: a tenth for a quick look. */
  sized(full: number): number {
    return Math.max(1, Math.round(full * (this.options.quick ? QUICK_SHARE : 1)))
  }
}

/** Bytes that reached the device for each byte of payload; NaN where the disk is in memory. */
export function writtenRatio({ deviceBytes, payloadBytes }: LogResult): number {
  return deviceBytes > 0 ? deviceBytes / payloadBytes : Number.NaN
}

export function perSecond({ records, seconds }: LogResult): number {
  return records / seconds
}
