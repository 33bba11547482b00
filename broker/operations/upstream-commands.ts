/** All upstreams of a broker behind one set of commands, each found by its name. */
import { UnknownUpstreamError } from './errors.ts'
import type {
  DownlinkStatus,
  RewoundPosition,
  SyncOperations,
  UpstreamEvent,
  UpstreamStatus,
} from './operations.ts'

/** What keeps one upstream up to date: sync's replicator. */
export interface Replication extends Commanded {
  status(): UpstreamStatus
  onChange(listener: (event: UpstreamEvent) => void): () => void
  rewind(change: {
    readonly stream: string
    readonly to: ReadonlyMap<number, number>
  }): Promise<{ readonly partitions: readonly RewoundPosition[] }>
}

/** What keeps local clients up to date with one topic: sync's downlink. */
export interface Downlinking extends Commanded {
  status(): DownlinkStatus
}

interface Commanded {
  /** Done when it is remembered, where it is. */
  pause(): Promise<void> | void
  resume(): Promise<void> | void
  now(): void
  close(): Promise<void>
}

export class UpstreamCommands implements SyncOperations {
  #replications: ReadonlyMap<string, Replication>
  #downlinks: ReadonlyMap<string, Downlinking>
  readonly #listeners = new Map<(event: UpstreamEvent) => void, Map<Replication, () => void>>()

  /** @param downlinks none of which has the name of an upstream */
  constructor(
    replications: ReadonlyMap<string, Replication>,
    downlinks: ReadonlyMap<string, Downlinking> = new Map(),
  ) {
    this.#replications = replications
    this.#downlinks = downlinks
  }

  status(): UpstreamStatus[] {
    return [...this.#replications.values()].map((replication) => replication.status())
  }

  downlinks(): DownlinkStatus[] {
    return [...this.#downlinks.values()].map((downlink) => downlink.status())
  }

  /** Others from now on; who listens, listens to them, too. */
  replace(replications: ReadonlyMap<string, Replication>, downlinks: ReadonlyMap<string, Downlinking>): void {
    this.#replications = replications
    this.#downlinks = downlinks
    for (const [listener, heard] of this.#listeners) this.#listen(listener, heard)
  }

  onChange(listener: (event: UpstreamEvent) => void): () => void {
    const heard = new Map<Replication, () => void>()
    this.#listeners.set(listener, heard)
    this.#listen(listener, heard)
    return () => {
      this.#listeners.delete(listener)
      for (const stop of heard.values()) stop()
    }
  }

  #listen(listener: (event: UpstreamEvent) => void, heard: Map<Replication, () => void>): void {
    const now = new Set(this.#replications.values())
    for (const [replication, stop] of heard) {
      if (now.has(replication)) continue
      stop()
      heard.delete(replication)
    }
    for (const replication of now) {
      if (!heard.has(replication)) heard.set(replication, replication.onChange(listener))
    }
  }

  pause(upstream?: string): Promise<void> {
    return all(this.#named(upstream).map((commanded) => commanded.pause()))
  }

  resume(upstream?: string): Promise<void> {
    return all(this.#named(upstream).map((commanded) => commanded.resume()))
  }

  now(upstream?: string): void {
    for (const commanded of this.#named(upstream)) commanded.now()
  }

  async rewind(
    upstream: string,
    stream: string,
    to: ReadonlyMap<number, number>,
  ): Promise<RewoundPosition[]> {
    const replication = this.#replications.get(upstream)
    if (replication === undefined) throw new UnknownUpstreamError(upstream, [...this.#replications.keys()])
    return [...(await replication.rewind({ stream, to })).partitions]
  }

  async close(): Promise<void> {
    await Promise.all(this.#named(undefined).map((commanded) => commanded.close()))
  }

  #named(name: string | undefined): Commanded[] {
    if (name === undefined) return [...this.#replications.values(), ...this.#downlinks.values()]
    const found = this.#replications.get(name) ?? this.#downlinks.get(name)
    if (found === undefined) {
      throw new UnknownUpstreamError(name, [...this.#replications.keys(), ...this.#downlinks.keys()])
    }
    return [found]
  }
}

async function all(commands: readonly (Promise<void> | void)[]): Promise<void> {
  await Promise.all(commands)
}
