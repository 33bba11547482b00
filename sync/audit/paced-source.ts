/**
 * A source whose records come no faster than a cap on bytes a second, for engines in which nearly all that is read is the edge's own: what
 * its records have is counted. Kafka's topics are shared, so that its requests are counted themselves (kafka/paced-wire.ts).
 */
import type { LogIdentity, LogRecord, PartitionState } from '../../broker/index.ts'
import type { Pacer } from '../link/pacer.ts'
import type { AuditItem, AuditSource, Strangers } from './source.ts'

export class PacedSource implements AuditSource {
  readonly #source: AuditSource
  readonly #pacer: Pacer

  constructor(source: AuditSource, pacer: Pacer) {
    this.#source = source
    this.#pacer = pacer
  }

  get name(): string {
    return this.#source.name
  }
  get kind(): string {
    return this.#source.kind
  }
  get address(): string {
    return this.#source.address
  }
  get strangers(): Strangers {
    return this.#source.strangers
  }

  async *read(
    identity: LogIdentity,
    partitions: readonly PartitionState[],
    signal: AbortSignal,
  ): AsyncGenerator<AuditItem> {
    const stop = () => this.#pacer.close()
    signal.addEventListener('abort', stop, { once: true })
    try {
      for await (const item of this.#source.read(identity, partitions, signal)) {
        yield item
        if (item.kind === 'records') this.#pacer.spend(bytesOf(item.records))
        await this.#pacer.wait()
      }
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  close(): Promise<void> {
    this.#pacer.close()
    return this.#source.close()
  }
}

/** What a record has besides its contents: lengths, deltas, its part of a batch's header. */
const RECORD_BYTES = 10

function bytesOf(records: readonly LogRecord[]): number {
  let bytes = 0
  for (const { key, value, headers } of records) {
    bytes += RECORD_BYTES + (key?.length ?? 0) + (value?.length ?? 0)
    for (const header of headers) bytes += header.key.length + (header.value?.length ?? 0)
  }
  return bytes
}
