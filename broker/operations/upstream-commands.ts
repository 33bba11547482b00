/** All upstreams of a broker behind one set of commands, each found by its name. */
import { UnknownUpstreamError } from './errors.ts'
import type { RewoundPosition, SyncOperations, UpstreamStatus } from './operations.ts'

/** What keeps one upstream up to date: sync's replicator. */
export interface Replication {
  status(): UpstreamStatus
  pause(): void
  resume(): void
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

  pause(upstream?: string): void {
    for (const replication of this.#named(upstream)) replication.pause()
  }

  resume(upstream?: string): void {
    for (const replication of this.#named(upstream)) replication.resume()
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
