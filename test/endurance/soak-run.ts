/** A mixed load for as long as there is time, with samples of the broker's memory; and honest clients, whose messages are counted. */
import { setTimeout as sleep } from 'node:timers/promises'
import { HonestClients, type Latencies } from './honest.ts'
import { growthOf, logProblems, type Sample } from './judge.ts'
import { type MixedCounts, MixedLoad } from './mixed-load.ts'
import { Target } from './target.ts'

export interface SoakOptions {
  readonly minutes: number
  readonly seed: number
  readonly rate: number
  /** By how much RSS may grow after the warm-up, in megabytes. */
  readonly growthMax: number
}

export interface SoakResult {
  readonly counts: MixedCounts
  readonly honest: Latencies
  readonly acknowledged: number
  readonly stored: number
  readonly samples: readonly Sample[]
  readonly warmSeconds: number
  /** After the warm-up: by the straight line through the samples. */
  readonly growth: { readonly rss: Growth; readonly anon: Growth }
  readonly rssPeakBytes: number
  readonly problems: readonly string[]
  readonly kept: string | null
}

type Growth = ReturnType<typeof growthOf>

/** Of the time: until caches and queues have their size, the window is full, code is compiled. */
const WARM_SHARE = 0.3
const SAMPLE_MS = 1000
const HONEST = { publishers: 3, messagesPerSecond: 20 }
/** Small, so that retention is at work all the time. */
const RETENTION_BYTES = 8_388_608
const MEGABYTE = 1_000_000

export class SoakRun {
  readonly #options: SoakOptions
  readonly #onMinute: (sample: Sample) => void
  readonly #samples: Sample[] = []
  #target: Target | null = null
  isAbandoned = false

  constructor(options: SoakOptions, onMinute: (sample: Sample) => void) {
    this.#options = options
    this.#onMinute = onMinute
  }

  async abandon(): Promise<void> {
    this.isAbandoned = true
    await this.#target?.end('SIGKILL')
    this.#target?.discard()
  }

  async run(): Promise<SoakResult> {
    const target = await Target.start({ limits: {}, retentionBytes: RETENTION_BYTES })
    this.#target = target
    const problems: string[] = []
    const honest = await HonestClients.connect({ port: target.port, ...HONEST })
    const { rate: messagesPerSecond, seed } = this.#options
    const load = new MixedLoad({ port: target.port, seed, messagesPerSecond })
    try {
      honest.begin()
      await load.begin()
      await this.#watch(target, honest, load)
      const { rssPeakBytes } = target.isRunning ? target.memory() : { rssPeakBytes: Number.NaN }
      await load.end()
      await honest.finish()
      const latencies = honest.latencies()
      problems.push(...load.problems, ...honest.problems)
      problems.push(...(await endProblems(target, honest)))
      const { stored, problems: lost } = await logProblems(honest.books(), (take) => target.eachStored(take))
      problems.push(...lost)
      const judged = this.#judge(problems)
      const kept = problems.length > 0 ? target.keep() : null
      const { acknowledged } = honest
      const found = { counts: load.counts, honest: latencies, acknowledged, stored, rssPeakBytes }
      return { ...found, ...judged, samples: this.#samples, problems, kept }
    } finally {
      honest.close()
      await target.end('SIGKILL')
      if (problems.length === 0) target.discard()
    }
  }

  async #watch(target: Target, honest: HonestClients, load: MixedLoad): Promise<void> {
    const startedAt = performance.now()
    const seconds = this.#options.minutes * 60
    for (let at = 1; at <= seconds && !this.isAbandoned; at++) {
      await sleep(Math.max(0, startedAt + at * SAMPLE_MS - performance.now()))
      if (!target.isRunning || target.faults.length + honest.problems.length + load.problems.length > 0)
        return
      const { rssBytes, rssAnonBytes: anonBytes } = target.memory()
      const sample = { seconds: at, rssBytes, anonBytes }
      this.#samples.push(sample)
      if (at % 60 === 0) this.#onMinute(sample)
    }
  }

  #judge(problems: string[]) {
    const warmSeconds = this.#options.minutes * 60 * WARM_SHARE
    const of = (field: 'rssBytes' | 'anonBytes') =>
      growthOf(
        this.#samples.map((sample) => ({ seconds: sample.seconds, bytes: sample[field] })),
        warmSeconds,
      )
    const growth = { rss: of('rssBytes'), anon: of('anonBytes') }
    const megabytes = growth.rss.bytes / MEGABYTE
    if (!(megabytes <= this.#options.growthMax))
      problems.push(`RSS grew by ${megabytes.toFixed(1)} MB; ${this.#options.growthMax} are allowed`)
    return { warmSeconds, growth }
  }
}

async function endProblems(target: Target, honest: HonestClients): Promise<string[]> {
  const problems = target.faults.map((line) => `the broker said: ${line}`)
  if (!target.isRunning) return [...problems, 'the broker ended by itself']
  honest.close()
  const code = await target.end('SIGTERM')
  if (code !== 0) problems.push(`the broker ended with ${code} where it was asked to`)
  const verified = (await target.ask(['log', 'verify', '--json'])) as { isWhole: boolean }
  return verified.isWhole ? problems : [...problems, 'log verify: the log is not whole']
}
