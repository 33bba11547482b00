/** All upstreams of a broker behind one set of commands, each found by its name. */
import { UnknownUpstreamError } from './errors.ts'
import type { RewoundPosition, SyncOperations, UpstreamEvent, UpstreamStatus } from './operations.ts'

/** What keeps one upstream up to date: sync's replicator. */
export interface Replication {
  status(): UpstreamStatus
  onChange(listener: (event: UpstreamEvent) => void): () => void
  /** Done when it is remembered. */
  pause(): Promise<void>
  resume(): Promise<void>
  now(): void
  rewind(change: {
    readonly stream: string
    readonly to: ReadonlyMap<number, number>
  }): Promise<{ readonly partitions: readonly RewoundPosition[] }>
  close(): Promise<void>
}

export class UpstreamCommands implements SyncOperations {
  readonly #replications: ReadonlyMap<string, Replication>

  constructor(replications: ReadonlyMap<string, Replication>) {
    this.#replications = replications
  }

  status(): UpstreamStatus[] {
    return [...this.#replications.values()].map((replication) => replication.status())
  }

  onChange(listener: (event: UpstreamEvent) => void): () => void {
    const stops = [...this.#replications.values()].map((replication) => replication.onChange(listener))
    return () => {
      for (const stop of stops) stop()
    }
  }

  pause(upstream?: string): Promise<void> {
    return all(this.#named(upstream).map((replication) => replication.pause()))
  }

  resume(upstream?: string): Promise<void> {
    return all(this.#named(upstream).map((replication) => replication.resume()))
  }

  now(upstream?: string): void {
    for (const replication of this.#named(upstream)) replication.now()
  }

  async rewind(
    upstream: string,
    stream: string,
    to: ReadonlyMap<number, number>,
  ): Promise<RewoundPosition[]> {
    const [replication] = this.#named(upstream)
    return [...(await replication!.rewind({ stream, to })).partitions]
  }

  async close(): Promise<void> {
    await Promise.all([...this.#replications.values()].map((replication) => replication.close()))
  }

  #named(upstream: string | undefined): Replication[] {
    if (upstream === undefined) return [...this.#replications.values()]
    const found = this.#replications.get(upstream)
    if (found === undefined) throw new UnknownUpstreamError(upstream, [...this.#replications.keys()])
    return [found]
  }
}

async function all(commands: readonly Promise<void>[]): Promise<void> {
  await Promise.all(commands)
}
