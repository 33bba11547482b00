/** When to look for streams to compact, by the clock. */
import type { BrokerConfig } from '../config/schema.ts'
import { startCron } from '../cron.ts'
import type { LogSink } from '../log-sink.ts'

export class CompactionSchedule {
  readonly #compact: () => Promise<unknown>
  readonly #sink: LogSink
  #cron: string | null = null
  /** Changes with each that is begun or ended: loading takes a while. */
  #generation = 0
  #stop: () => void = () => {}
  #isRunning = false
  #isClosed = false

  constructor(compact: () => Promise<unknown>, sink: LogSink) {
    this.#compact = compact
    this.#sink = sink
  }

  /** node-cron takes 5 MB: it is loaded where a stream is compacted. */
  async follow({ streams, log }: BrokerConfig): Promise<void> {
    const cron = streams.every(({ cleanup }) => cleanup === 'delete') ? null : log.compaction.schedule
    if (this.#isClosed || cron === this.#cron) return
    this.#end()
    if (cron === null) return
    this.#cron = cron
    const generation = this.#generation
    try {
      const stop = await startCron(cron, 'system', () => void this.#run())
      // a stop or another reload overtook it: its timer would keep the process
      if (generation !== this.#generation) stop()
      else this.#stop = stop
    } catch (error) {
      // the next reload tries it again
      if (generation === this.#generation) this.#cron = null
      throw error
    }
  }

  close(): void {
    this.#isClosed = true
    this.#end()
  }

  #end(): void {
    this.#stop()
    this.#stop = () => {}
    this.#cron = null
    this.#generation++
  }

  async #run(): Promise<void> {
    // one that is under way when the next is due goes on in its place
    if (this.#isRunning) return
    this.#isRunning = true
    await this.#compact().catch((error) =>
      this.#sink.warn('compaction failed; it is tried again', { reason: (error as Error).message }),
    )
    this.#isRunning = false
  }
}
