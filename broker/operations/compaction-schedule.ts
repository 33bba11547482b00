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
  #isClosed = false

  constructor(compact: () => Promise<unknown>, sink: LogSink) {
    this.#compact = compact
    this.#sink = sink
  }

  /** node-cron takes 5 MB: it is loaded where a stream is compacted. */
  async follow({ streams, log }: BrokerConfig): Promise<void> {
    const cron = streams.every(({ cleanup }) => cleanup === 'delete') ? null : log.compaction.schedule
    if (cron === this.#cron) return
    await this.#end()
    if (cron === null) return
    const { schedule } = await import('node-cron')
    // a stop overtook it: its timer would keep the process
    if (this.#isClosed) return
    this.#task = schedule(cron, () => this.#run(), { noOverlap: true })
    this.#cron = cron
  }

  close(): Promise<void> {
    this.#isClosed = true
    return this.#end()
  }

  async #end(): Promise<void> {
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
