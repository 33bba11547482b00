/** When to look for streams to compact, by the clock. */
import type { BrokerConfig } from '../config/schema.ts'
import type { LogSink } from '../log-sink.ts'

export class CompactionSchedule {
  readonly #compact: () => Promise<unknown>
  readonly #sink: LogSink
  #cron: string | null = null
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
    if (cron === this.#cron) return
    this.#end()
    if (cron === null) return
    this.#cron = cron
    const { startCron } = await import('../cron.ts')
    const stop = await startCron(cron, 'system', () => void this.#run())
    // a stop or another reload overtook it: its timer would keep the process
    if (this.#isClosed || this.#cron !== cron) stop()
    else this.#stop = stop
  }

  close(): void {
    this.#isClosed = true
    this.#end()
  }

  #end(): void {
    this.#stop()
    this.#stop = () => {}
    this.#cron = null
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
