/** Cycle after cycle, on a new disk with the next scenario after so many. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Random, seededRandom } from '../support/random.ts'
import { History } from './history.ts'
import { planCycle } from './plan.ts'
import type { Reporter } from './report.ts'
import { type Scenario, scenariosOf } from './scenarios.ts'
import { Place } from './system.ts'

export interface RunOptions {
  readonly cycles: number
  readonly seed: number
  /** Cycles on one disk. */
  readonly history: number
  readonly scenario?: string
  readonly dir?: string
  readonly keep: boolean
  readonly lyingDisk: boolean
}

export interface RunResult {
  readonly problems: readonly string[]
  /** Where the disk's image was left; null where there is none. */
  readonly kept: string | null
}

/** Sparse: what is not written takes no room. */
const DISK_BYTES = 1024 * 1024 * 1024

export class PowerCutRun {
  readonly #options: RunOptions
  readonly #random: Random
  readonly #scenarios: readonly Scenario[]
  readonly #report: Reporter
  #history: History | null = null
  #place: Place | null = null
  #isAbandoned = false

  constructor(options: RunOptions, report: Reporter) {
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#scenarios = scenariosOf(options.scenario)
    this.#report = report
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /** Ends at the first cycle in which something is wrong. */
  async run(): Promise<RunResult> {
    const { cycles, history, keep } = this.#options
    for (let done = 0, disk = 0; done < cycles; done += history, disk++) {
      const scenario = this.#scenarios[disk % this.#scenarios.length]!
      const problems = await this.#onOneDisk(scenario, done + 1, Math.min(history, cycles - done))
      const isLast = done + history >= cycles
      if (problems.length > 0) return { problems, kept: await this.#close(true) }
      const kept = await this.#close(keep && isLast)
      if (isLast) return { problems, kept }
    }
    return { problems: [], kept: null }
  }

  /** For a run that is broken off. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true
    await this.#close(false)
  }

  async #onOneDisk(scenario: Scenario, first: number, cycles: number): Promise<string[]> {
    const { seed, lyingDisk } = this.#options
    this.#place = new Place(mkdtempSync(Place.prefix(this.#options.dir)))
    writeFileSync(this.#place.pidFile, String(process.pid))
    let step = `disk of cycle ${first}`
    try {
      this.#history = await History.create(this.#place, scenario, {
        sizeBytes: scenario.diskBytes ?? DISK_BYTES,
        seed: (seed + first) >>> 0,
        ignoresFlushes: lyingDisk,
      })
      await this.#history.begin()
      for (let cycle = first; cycle < first + cycles; cycle++) {
        step = `cycle ${cycle}`
        const plan = planCycle(this.#random, scenario)
        const result = await this.#history.cycle(plan)
        this.#report.cycle({ cycle, scenario: scenario.name, plan, ...result })
        if (result.problems.length > 0) return this.#named(step, result.problems)
      }
      step = `after cycle ${first + cycles - 1}`
      return this.#named(step, await this.#history.end())
    } catch (error) {
      return this.#named(step, [(error as Error).message])
    }
  }

  #named(step: string, problems: readonly string[]): string[] {
    return problems.map((problem) => `${step}: ${problem}`)
  }

  /** @returns where the image is, if it was kept */
  async #close(keep: boolean): Promise<string | null> {
    const [history, place] = [this.#history, this.#place]
    this.#history = null
    this.#place = null
    if (keep && place !== null)
      writeFileSync(join(place.directory, 'broker.log'), history?.brokerOutput ?? '')
    await history?.close({ keep })
    return keep ? (place?.image ?? null) : null
  }
}
