/** When to look for streams to compact, by the clock. */
import type { BrokerConfig } from '../config/schema.ts'
import type { LogSink } from '../log-sink.ts'

interface Task {
  destroy(): void | Promise<void>
}

export class CompactionSchedule {
  readonly #compact: () => Promise<unknown>
  readonly #sink: LogSink
  #cron: string | null = null
  #task: Task | null = null

  constructor(compact: () => Promise<unknown>, sink: LogSink) {
    this.#compact = compact
    this.#sink = sink
  }

  /** node-cron takes 5 MB: it is loaded where a stream is compacted. */
  async follow({ streams, log }: BrokerConfig): Promise<void> {
    const cron = streams.every(({ cleanup }) => cleanup === 'delete') ? null : log.compaction.schedule
    if (cron === this.#cron) return
    await this.close()
    if (cron === null) return
    const { schedule } = await import('node-cron')
    this.#task = schedule(cron, () => this.#run(), { noOverlap: true })
    this.#cron = cron
  }

  async close(): Promise<void> {
    const task = this.#task
    this.#task = null
    this.#cron = null
    await task?.destroy()
  }

  async #run(): Promise<void> {
    await this.#compact().catch((error) =>
      this.#sink.warn('compaction failed; it is tried again', { reason: (error as Error).message }),
    )
  }
}
