/** Honest clients alone, then beside attackers, then alone again; and whether anything of theirs was lost. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onExit } from '../support/kafka/cleanup.ts'
import { attacksOf } from './attacks/attacks.ts'
import type { SinkJob, SinkPorts } from './attacks/sink.ts'
import type { AttackCounts, AttackJob } from './attacks/worker.ts'
import { HonestClients, type Latencies } from './honest.ts'
import { growthOf, logProblems, type Sample } from './judge.ts'
import { Target } from './target.ts'

export interface HostileOptions {
  readonly minutes: number
  readonly seed: number
  /** The most RSS that the broker may have. */
  readonly rssMax: number
  /** What is kept of the strangers' messages, MiB. */
  readonly window: number
  /** Only attacks whose name contains this. */
  readonly only?: string
}

export interface HostileResult {
  readonly attacks: AttackCounts
  readonly honest: {
    readonly alone: Latencies
    /** Attackers are at work on something else: what they take of this machine. */
    readonly beside: Latencies
    readonly attacked: Latencies
    readonly afterwards: Latencies
  }
  readonly acknowledged: number
  readonly stored: number
  readonly samples: readonly Sample[]
  readonly rssBytes: {
    readonly before: number
    readonly peak: number
    readonly after: number
    /** In the second half of the attack, by the straight line through the samples. */
    readonly growth: number
  }
  readonly problems: readonly string[]
  /** Where the broker's data and what it said were left; null where nothing is wrong. */
  readonly kept: string | null
}

/** Of the time: alone, beside attackers of something else, attacked, alone again. */
const SHARES = { alone: 0.15, beside: 0.15, attacked: 0.6, afterwards: 0.1 }
const SAMPLE_MS = 1000
const HONEST = { publishers: 5, messagesPerSecond: 200 }
/** Of an operator who lets strangers in: above what honest clients need, below what would fill the machine. */
const LIMITS = {
  connectionsMax: 300,
  connectionsPerAddressMax: 60,
  connectsPerSecondPerAddress: 100,
  messagesPerSecondPerClient: 200,
  bytesPerSecondPerClient: 262_144,
  messagesPerSecondPerUser: 1000,
  bytesPerSecondPerUser: 524_288,
  outboxBytesMax: 262_144,
  subscriptionsPerClientMax: 100,
  sessionsMax: 300,
  queuedMessagesMax: 5000,
  retainedMessagesMax: 5000,
  retainedBytesMax: 8_388_608,
  connectSecondsMax: 3,
}
const MEBIBYTE = 1_048_576
const ATTACKERS_NICE = 10
const STOP_MS_MAX = 30_000
const MEGABYTE = 1_000_000

const WORKER = fileURLToPath(new URL('./attacks/worker.js', import.meta.url))
const SINK = fileURLToPath(new URL('./attacks/sink.js', import.meta.url))

export class HostileRun {
  readonly #options: HostileOptions
  readonly #onStep: (step: string) => void
  readonly #problems: string[] = []
  readonly #samples: Sample[] = []
  readonly #startedAt = performance.now()
  #target: Target | null = null
  #endAttackers: () => void = () => {}
  isAbandoned = false

  constructor(options: HostileOptions, onStep: (step: string) => void) {
    this.#options = options
    this.#onStep = onStep
  }

  async abandon(): Promise<void> {
    this.isAbandoned = true
    this.#endAttackers()
    await this.#target?.end('SIGKILL')
    this.#target?.discard()
  }

  async run(): Promise<HostileResult> {
    // a wrong name is told before anything is started
    attacksOf(this.#options.only)
    const retentionBytes = this.#options.window * MEBIBYTE
    const target = await Target.start({ limits: LIMITS, retentionBytes })
    this.#target = target
    const sampling = setInterval(() => this.#sample(target), SAMPLE_MS)
    try {
      const result = await this.#phases(target)
      const kept = this.#problems.length > 0 ? target.keep() : null
      return { ...result, samples: this.#samples, problems: this.#problems, kept }
    } finally {
      clearInterval(sampling)
      this.#endAttackers()
      await target.end('SIGKILL')
      if (this.#problems.length === 0) target.discard()
    }
  }

  async #phases(target: Target) {
    const seconds = this.#options.minutes * 60
    const honest = await HonestClients.connect({ port: target.port, ...HONEST })
    try {
      honest.begin()
      // until code is compiled
      await sleep(seconds * 1000 * SHARES.alone * 0.3)
      honest.latencies()
      await sleep(seconds * 1000 * SHARES.alone * 0.7)
      const alone = honest.latencies()
      await this.#withSink((ports) => this.#attack(target, ports, honest, seconds * SHARES.beside))
      const beside = honest.latencies()
      this.#onStep('beside')
      const before = target.memory().rssBytes
      this.#onStep('alone')
      const attackedFrom = this.#seconds()
      const attacks = await this.#attack(target, target, honest, seconds * SHARES.attacked)
      const growth = this.#growth((attackedFrom + this.#seconds()) / 2)
      const attacked = honest.latencies()
      this.#onStep('attacked')
      await this.#unless(target, honest, seconds * SHARES.afterwards)
      const afterwards = honest.latencies()
      this.#onStep('afterwards')
      await honest.finish()
      this.#problems.push(...honest.problems)
      const { rssBytes: after, rssPeakBytes: peak } = target.isRunning
        ? target.memory()
        : { rssBytes: Number.NaN, rssPeakBytes: Number.NaN }
      this.#judgeProcess(target, peak)
      const stored = await this.#judgeLog(target, honest)
      const { acknowledged } = honest
      return {
        attacks,
        honest: { alone, beside, attacked, afterwards },
        acknowledged,
        stored,
        rssBytes: { before, peak, after, growth },
      }
    } finally {
      honest.close()
    }
  }

  async #withSink(run: (ports: SinkPorts) => Promise<unknown>): Promise<void> {
    const sink = fork(SINK, { stdio: ['ignore', 2, 2, 'ipc'] })
    const takeBack = onExit(() => sink.kill('SIGKILL'))
    setPriority(sink.pid!, ATTACKERS_NICE)
    try {
      const job: SinkJob = { bytesPerSecond: LIMITS.bytesPerSecondPerClient }
      sink.send(job)
      const [ports] = (await once(sink, 'message')) as [SinkPorts]
      await run(ports)
    } finally {
      sink.kill('SIGKILL')
      takeBack()
    }
  }

  async #attack(
    target: Target,
    ports: SinkPorts,
    honest: HonestClients,
    seconds: number,
  ): Promise<AttackCounts> {
    const worker = fork(WORKER, { stdio: ['ignore', 2, 2, 'ipc'] })
    const takeBack = onExit(() => worker.kill('SIGKILL'))
    this.#endAttackers = () => worker.kill('SIGKILL')
    const exited = once(worker, 'exit').then(takeBack)
    // they stand for other machines, and must not take this one's processors from whose latency is measured
    setPriority(worker.pid!, ATTACKERS_NICE)
    const { port, webSocketPort, tlsPort } = ports
    const { seed, only } = this.#options
    const job: AttackJob = { port, webSocketPort, tlsPort, seed, ...(only === undefined ? {} : { only }) }
    worker.send(job)
    await this.#unless(target, honest, seconds)
    const counted = once(worker, 'message') as Promise<[AttackCounts]>
    if (worker.connected) worker.send('stop')
    const answer = await Promise.race([counted, exited, sleep(STOP_MS_MAX, undefined, { ref: false })])
    // what it had open is closed by the system
    worker.kill('SIGKILL')
    await exited
    if (!Array.isArray(answer)) throw new Error('the attackers did not come to an end')
    return answer[0]
  }

  /** So long, or until something is wrong. */
  async #unless(target: Target, honest: HonestClients, seconds: number): Promise<void> {
    const end = performance.now() + seconds * 1000
    const isWrong = () =>
      !target.isRunning || target.faults.length > 0 || honest.problems.length > 0 || this.isAbandoned
    while (performance.now() < end && !isWrong()) await sleep(100)
  }

  #sample(target: Target): void {
    if (!target.isRunning) return
    const seconds = this.#seconds()
    const { rssBytes, rssAnonBytes: anonBytes } = target.memory()
    this.#samples.push({ seconds, rssBytes, anonBytes })
  }

  #seconds(): number {
    return (performance.now() - this.#startedAt) / 1000
  }

  #growth(fromSeconds: number): number {
    const samples = this.#samples.map(({ seconds, rssBytes }) => ({ seconds, bytes: rssBytes }))
    return growthOf(samples, fromSeconds).bytes
  }

  #judgeProcess(target: Target, peakBytes: number): void {
    if (!target.isRunning) this.#problems.push('the broker ended by itself')
    for (const line of target.faults) this.#problems.push(`the broker said: ${line}`)
    const megabytes = Math.round(peakBytes / MEGABYTE)
    if (megabytes > this.#options.rssMax)
      this.#problems.push(`RSS went to ${megabytes} MB; ${this.#options.rssMax} are allowed`)
  }

  /** The broker is stopped for it: that must work, too. */
  async #judgeLog(target: Target, honest: HonestClients): Promise<number> {
    if (target.isRunning) {
      honest.close()
      const code = await target.end('SIGTERM')
      if (code !== 0) this.#problems.push(`the broker ended with ${code} where it was asked to`)
    }
    const verified = (await target.ask(['log', 'verify', '--json'])) as { isWhole: boolean }
    if (!verified.isWhole) this.#problems.push('log verify: the log is not whole')
    const { stored, problems } = await logProblems(honest.books(), (take) => target.eachStored(take))
    this.#problems.push(...problems)
    return stored
  }
}
