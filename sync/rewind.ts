/**
 * Moves an upstream's position on purpose: back, so that records are sent again, or forward, so that some are never sent. It is a round
 * without records, so that upstream takes it as it takes every round: whole or not at all, and fenced.
 *
 * A crash after each step:
 *   the lower of both positions is remembered   upstream is where it was: so is the next recovery
 *   the round is acknowledged                   upstream is where it was told to be: so is the next recovery; what is remembered
 *                                               is at most that, so that nothing there looks as if it was lost
 */
import {
  assert,
  type HeadwaterError,
  type LogSource,
  type PartitionState,
  partitionKey,
} from '../broker/index.ts'
import { type CachedCheckpoint, decideStart } from './checkpoint.ts'
import { RewindRefusedError } from './errors.ts'
import { logProof } from './proof.ts'
import type { Positions, Recovered, RoundPart, Upstream } from './upstream.ts'

export interface RewindChange {
  readonly stream: string
  /** The offset that is to be sent next, by partition. */
  readonly to: ReadonlyMap<number, number>
}

export interface RewoundPartition {
  readonly stream: string
  readonly partition: number
  /** Where upstream stood. */
  readonly from: number
  readonly to: number
}

export interface Rewound {
  readonly partitions: readonly RewoundPartition[]
  /** All of this upstream's, by `partitionKey`. */
  readonly positions: Positions
}

export type SavePositions = (positions: Positions, recovered: Recovered) => Promise<void>

/**
 * Nobody else uses the upstream meanwhile; afterwards it wants to be recovered.
 * @param asked all partitions that this upstream gets
 * @param save remembers positions on the edge
 * @throws UpstreamError, RewindRefusedError: nothing has changed, unless the connection broke at the last step
 */
export async function rewindUpstream(
  log: LogSource,
  asked: readonly PartitionState[],
  upstream: Pick<Upstream, 'name' | 'recover' | 'send'>,
  remembered: CachedCheckpoint | null,
  save: SavePositions,
  change: RewindChange,
): Promise<Rewound> {
  checkChange(asked, upstream.name, change)
  const recovered = await upstream.recover(log.identity, asked)
  const keys = new Set(recovered.partitions.keys())
  const states = log.partitions().filter(({ stream, partition }) => keys.has(partitionKey(stream, partition)))
  const { positions, refused } = await decideStart(log, states, recovered, remembered)
  const refusal = recovered.refused?.get(change.stream) ?? refused.get(change.stream)
  if (refusal !== undefined) throw refusal
  const parts: RoundPart[] = []
  const partitions: RewoundPartition[] = []
  const lower = new Map(positions)
  for (const [partition, to] of change.to) {
    const key = partitionKey(change.stream, partition)
    const from = positions.get(key)
    assert(from !== undefined, 'upstream answers for every partition that it is asked about')
    const proof = await logProof(log, change.stream, partition, to)
    const place = { stream: change.stream, partition }
    parts.push({ ...place, fromOffset: to, nextOffset: to, batches: [], proof })
    partitions.push({ ...place, from, to })
    lower.set(key, Math.min(from, to))
    positions.set(key, to)
  }
  await save(lower, recovered)
  await upstream.send({ parts })
  await save(positions, recovered)
  return { partitions, positions }
}

interface Wanted {
  readonly change: RewindChange
  resolve(rewound: Rewound): void
  reject(error: HeadwaterError): void
}

/** What people want to be moved, until the replicator is between two rounds. */
export class RewindQueue {
  readonly #wanted: Wanted[] = []
  #isOpen = true

  get isEmpty(): boolean {
    return this.#wanted.length === 0
  }

  add(upstream: string, change: RewindChange): Promise<Rewound> {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ change, resolve, reject })
      if (!this.#isOpen) this.close(upstream)
    })
  }

  /** @param run moves one @returns whether that went well */
  async runNext(
    run: (change: RewindChange) => Promise<Rewound>,
    explain: (error: unknown) => HeadwaterError,
  ): Promise<boolean> {
    const { change, resolve, reject } = this.#wanted.shift()!
    try {
      resolve(await run(change))
      return true
    } catch (error) {
      reject(explain(error))
      return false
    }
  }

  /** Nobody is left to do it. */
  close(upstream: string): void {
    this.#isOpen = false
    for (const { reject } of this.#wanted.splice(0)) {
      reject(new RewindRefusedError(upstream, 'it does not run', 'start the broker, and try again'))
    }
  }
}

function checkChange(
  states: readonly PartitionState[],
  upstream: string,
  { stream, to }: RewindChange,
): void {
  for (const [partition, offset] of to) {
    const state = states.find((each) => each.stream === stream && each.partition === partition)
    const place = partitionKey(stream, partition)
    if (state === undefined) {
      throw new RewindRefusedError(
        upstream,
        `there is no ${place}`,
        '`headwater streams` shows what there is',
      )
    }
    const { logStartOffset, durableOffset } = state
    const held = `it holds ${logStartOffset} to ${durableOffset}`
    if (offset < logStartOffset) {
      const hint = `retention removed what is below; --to earliest is ${logStartOffset}`
      throw new RewindRefusedError(upstream, `${place} does not have offset ${offset}, ${held}`, hint)
    }
    if (offset > durableOffset) {
      const hint = `--to ${durableOffset} skips all that is there now`
      throw new RewindRefusedError(upstream, `${place} does not reach offset ${offset}, ${held}`, hint)
    }
  }
}
