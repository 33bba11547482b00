/** Turns two looks at the counters into rates. */
import type { Operations } from '../operations.ts'
import { bytes, count, milliseconds, rate } from '../terminal/units.ts'

interface Sample {
  readonly at: number
  readonly messages: number
  readonly commits: number
}

export class StatusMeter {
  readonly #operations: Operations
  #last: Sample

  constructor(operations: Operations) {
    this.#operations = operations
    this.#last = this.#sample()
  }

  /** One line for a terminal. */
  line(): string {
    const { mqtt, log } = this.#operations.status()
    const { messages, commits } = this.#rates()
    const parts = [
      `${count(mqtt.connections)} conn`,
      `${rate(messages)} msg`,
      `${rate(commits)} commits`,
      ...(log.commits > 0 ? [`p99 ${milliseconds(log.commitMsP99)}`] : []),
      `${count(this.#storedRecords())} records`,
      bytes(log.storedBytes),
    ]
    if (log.condition !== 'open') parts.unshift(`LOG ${log.condition.toUpperCase()}`)
    for (const { name, state, lagRecords } of this.#operations.sync?.status() ?? []) {
      parts.push(`${name} ${state}${lagRecords > 0 ? ` lag ${count(lagRecords)}` : ''}`)
    }
    return parts.join(' · ')
  }

  /** The same for a journal. */
  fields(): Record<string, unknown> {
    const { mqtt, log } = this.#operations.status()
    const { messages, commits } = this.#rates()
    return {
      connections: mqtt.connections,
      messagesPerSecond: round(messages),
      commitsPerSecond: round(commits),
      commitMsP99: round(log.commitMsP99),
      records: this.#storedRecords(),
      storedBytes: log.storedBytes,
      log: log.condition,
      upstreams: (this.#operations.sync?.status() ?? [])
        .map(({ name, state, lagRecords }) => `${name}:${state}:${lagRecords}`)
        .join(','),
    }
  }

  #rates(): { messages: number; commits: number } {
    const now = this.#sample()
    const seconds = Math.max(0.001, (now.at - this.#last.at) / 1000)
    const rates = {
      messages: (now.messages - this.#last.messages) / seconds,
      commits: (now.commits - this.#last.commits) / seconds,
    }
    this.#last = now
    return rates
  }

  #sample(): Sample {
    const { ingress, log } = this.#operations.status()
    return { at: performance.now(), messages: ingress.received, commits: log.commits }
  }

  #storedRecords(): number {
    return this.#operations.log
      .partitions()
      .reduce((sum, { logStartOffset, durableOffset }) => sum + durableOffset - logStartOffset, 0)
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
