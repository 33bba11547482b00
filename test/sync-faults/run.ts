/** Cycles of faults between an edge and its cluster, an audit every few, a new edge and topic after some dozen. */
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../support/kafka/ports.ts'
import { readTopic, type TopicRecord } from '../support/kafka/read-topic.ts'
import { type KafkaServer, startKafka } from '../support/kafka/server.ts'
import { type Random, seededRandom } from '../support/random.ts'
import { audit } from './audit.ts'
import { Edge, STREAM } from './edge.ts'
import { Link } from './link.ts'
import { type CyclePlan, type Fault, planCycle } from './plan.ts'
import { MARK } from './publisher.ts'

export interface RunOptions {
  readonly cycles: number
  readonly seed: number
  /** Cycles of one edge. */
  readonly history: number
  /** Cycles between audits. */
  readonly audit: number
}

export interface CycleResult {
  readonly cycle: number
  readonly plan: CyclePlan
  readonly ms: number
  /** Of the audit after it, where there was one. */
  readonly audited: { readonly records: number; readonly drainMs: number } | null
}

export interface RunResult {
  readonly cycles: number
  readonly records: number
  readonly acknowledged: number
  /** Connections that the edge made. */
  readonly connections: number
  /** Resets at a byte, and flipped bits: those that struck. */
  readonly resets: number
  readonly flipped: number
  readonly drainMs: readonly number[]
  readonly problems: readonly string[]
  /** Where the edge's data and what it said were left; null where nothing is wrong. */
  readonly kept: string | null
}

const DRAIN_MS_MAX = 60_000
/** A reset or a flip that is to come with some byte is waited for so long. */
const STRIKE_MS_MAX = 2000
const BURST_PAUSE_MS = 8

export class FaultRun {
  readonly #options: RunOptions
  readonly #onCycle: (result: CycleResult) => void
  readonly #random: Random
  #kafka!: KafkaServer
  #link!: Link
  #edge: Edge | null = null
  #isAbandoned = false

  constructor(options: RunOptions, onCycle: (result: CycleResult) => void) {
    this.#options = options
    this.#onCycle = onCycle
    this.#random = seededRandom(options.seed)
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /** For a run that is broken off: the edge and its directory. The cluster ends with this process. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true
    await this.#edge?.abandon()
  }

  async run(): Promise<RunResult> {
    const port = await freePort()
    this.#kafka = await startKafka({
      listeners: [{ name: 'LINK', protocol: 'PLAINTEXT', advertisedPort: port }],
      // one that timed out is ended soon: the next round waits for it
      properties: { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '200' },
    })
    try {
      this.#link = await Link.open(Number(this.#kafka.listeners.LINK!.split(':')[1]), port)
      return await this.#histories()
    } finally {
      await this.#link?.close()
      await this.#kafka.stop()
    }
  }

  async #histories(): Promise<RunResult> {
    const { cycles, history } = this.#options
    const sum = { cycles: 0, records: 0, acknowledged: 0, drainMs: [] as number[], problems: [] as string[] }
    let kept: string | null = null
    while (sum.cycles < cycles && sum.problems.length === 0 && !this.#isAbandoned) {
      const name = `edge-${this.#options.seed}-${sum.cycles}`
      const edge = await Edge.start({ name, topic: name, bootstrap: `127.0.0.1:${this.#link.port}` })
      this.#edge = edge
      try {
        const last = Math.min(cycles, sum.cycles + history)
        while (sum.cycles < last && sum.problems.length === 0 && !this.#isAbandoned) {
          sum.cycles++
          const isAudited = sum.cycles === last || sum.cycles % this.#options.audit === 0
          const result = await this.#cycle(edge, sum.cycles, isAudited)
          if (result.audited !== null) sum.drainMs.push(result.audited.drainMs)
          sum.problems.push(...result.problems)
          if (sum.cycles === last) sum.records += result.audited?.records ?? 0
          this.#onCycle(result)
        }
        sum.acknowledged += edge.acknowledged().length
      } catch (error) {
        const said = edge.output.split('\n').slice(-15).join('\n')
        sum.problems.push(`cycle ${sum.cycles}: ${(error as Error).message}\n${said}`)
      } finally {
        if (sum.problems.length > 0 && !this.#isAbandoned) kept = await this.#keep(edge)
        await edge.end()
      }
    }
    const { connections, resets, flipped } = this.#link
    return { ...sum, connections, resets, flipped, kept }
  }

  /** With all that is upstream, open and aborted transactions too. */
  async #keep(edge: Edge): Promise<string> {
    const lines = async (isolation: 'read_committed' | 'read_uncommitted') => {
      try {
        const records = await readTopic(this.#kafka.bootstrap, edge.name, { isolation })
        return records.map(topicLine).join('')
      } catch (error) {
        return `${(error as Error).message}\n`
      }
    }
    const [committed, all] = [await lines('read_committed'), await lines('read_uncommitted')]
    return edge.keep({ 'committed.txt': committed, 'uncommitted.txt': all })
  }

  async #cycle(edge: Edge, cycle: number, isAudited: boolean) {
    const plan = planCycle(this.#random)
    const started = performance.now()
    let isOver = false
    const publishing = publishUntil(edge, plan.burst, () => isOver)
    await delay(plan.waitMs)
    for (const fault of plan.faults) {
      await this.#strike(edge, fault)
      this.#link.heal()
    }
    isOver = true
    await publishing
    const ms = performance.now() - started
    if (!isAudited) return { cycle, plan, ms, audited: null, problems: [] }
    const durable = await edge.drained(DRAIN_MS_MAX)
    const drainMs = performance.now() - started - ms
    const inKafka = await readTopic(this.#kafka.bootstrap, edge.name, { settled: true })
    const { records, problems } = audit(inKafka, {
      edge: edge.name,
      stream: STREAM,
      durable,
      acknowledged: edge.acknowledged(),
    })
    const found = problems.map((problem) => `cycle ${cycle}: ${problem}`)
    return { cycle, plan, ms, audited: { records, drainMs }, problems: found }
  }

  async #strike(edge: Edge, fault: Fault): Promise<void> {
    const link = this.#link
    switch (fault.kind) {
      case 'cut':
        link.cut(fault.how)
        return
      case 'reset after':
        link.resetAfter(fault.direction, fault.bytes)
        await link.struck(STRIKE_MS_MAX)
        return
      case 'flip':
        await Promise.race([link.flipBehind(MARK), delay(STRIKE_MS_MAX)])
        return
      case 'down':
        link.weather.isDown = true
        link.cut('reset')
        await delay(fault.ms)
        return
      case 'stall':
        link.weather.isStalled = true
        await delay(fault.ms)
        return
      case 'delay':
        link.weather.latencyMs = fault.latencyMs
        await delay(fault.ms)
        return
      case 'narrow':
        link.weather.bytesPerSecond = fault.bytesPerSecond
        await delay(fault.ms)
        return
      case 'kill edge':
        await edge.kill()
        return
      case 'kill cluster':
        await this.#kafka.kill()
        await this.#kafka.start()
        return
    }
  }
}

/** There is always something on its way while a fault strikes. */
async function publishUntil(edge: Edge, burst: number, isOver: () => boolean): Promise<void> {
  do {
    await edge.publish(burst)
    await delay(BURST_PAUSE_MS)
  } while (!isOver())
}

/** Place, time and origin. */
function topicLine({ partition, offset, timestamp, headers, value }: TopicRecord): string {
  const origin = headers.find(({ key }) => key === 'hw.origin')?.value
  return `${partition}/${offset} ${timestamp} ${origin} ${value}\n`
}
