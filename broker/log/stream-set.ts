/**
 * The streams of a log at run time. Other definitions can be taken up while records come and retention runs: who holds a stream holds the
 * same object afterwards, with another policy, and streams are added, never removed.
 */
import { UnknownStreamError } from '../errors.ts'
import type { CatalogStream, StreamDefinition } from './catalog.ts'
import type { Chain } from './chain.ts'
import type { LogStream } from './log-stream.ts'
import { LogPartition } from './partition.ts'
import { DEFAULT_POLICY, type StreamPolicy } from './stream-policy.ts'

interface OwnStream extends LogStream {
  policy: StreamPolicy
}

export class StreamSet {
  readonly #byName = new Map<string, OwnStream>()
  /** The array stays the same object. */
  readonly all: OwnStream[] = []

  /** @throws UnknownStreamError */
  get(name: string): LogStream {
    const stream = this.#byName.get(name)
    if (stream === undefined) throw new UnknownStreamError(name, [...this.#byName.keys()])
    return stream
  }

  /** Streams that are new join, with their partitions; each has the policy that its definition says. */
  update(
    catalog: readonly CatalogStream[],
    definitions: readonly StreamDefinition[],
    chains: ReadonlyMap<string, Chain>,
  ): void {
    for (const entry of catalog) {
      const { name } = entry
      // a stream that the configuration does not name any more keeps what it has
      const policy = definitions.find((stream) => stream.name === name)?.policy ?? DEFAULT_POLICY
      const known = this.#byName.get(name)
      if (known !== undefined) known.policy = policy
      else this.#add({ name, policy, ...placed(entry, chains.get(entry.chain)!) })
    }
  }

  #add(stream: OwnStream): void {
    this.#byName.set(stream.name, stream)
    this.all.push(stream)
  }
}

/** In its chain from now on. */
function placed(stream: CatalogStream, chain: Chain): Pick<LogStream, 'chain' | 'partitions'> {
  const partitions = partitionsOf(stream).map((fresh) => {
    const known = chain.partitions.get(fresh.id)
    if (known !== undefined) return known
    chain.partitions.set(fresh.id, fresh)
    return fresh
  })
  return { chain, partitions }
}

export function partitionsOf(stream: CatalogStream): LogPartition[] {
  return Array.from(
    { length: stream.partitions },
    (_, i) => new LogPartition(stream.name, i, stream.firstId + i),
  )
}
