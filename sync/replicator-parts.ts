/** What a replicator is put together from, each part with one thing to know. */
import type { LogSink, LogSource } from '../broker/index.ts'
import type { BackoffOptions, RoundSizeOptions } from './backoff.ts'
import type { CheckpointCache } from './checkpoint.ts'
import { type Clock, systemClock } from './clock.ts'
import { Courier } from './courier.ts'
import { EVERYTHING, Selection } from './filter/selection.ts'
import { Health } from './health.ts'
import { Link } from './link/link.ts'
import { Refusals } from './refusals.ts'
import { Retries } from './retries.ts'
import { Standing } from './standing.ts'
import { StateFeed } from './state-feed.ts'
import type { Upstream } from './upstream.ts'

export interface ReplicatorOptions {
  readonly round: RoundSizeOptions & {
    /** How long records may gather after the first one when upstream is up to date. */
    readonly lingerMs: number
  }
  readonly backoff: BackoffOptions
}

export interface ReplicatorDeps {
  readonly log: LogSource
  readonly upstream: Upstream
  readonly cache: CheckpointCache
  readonly sink: LogSink
  /** What of the log goes there; all of it without. */
  readonly selection?: Selection
  /** Without it nothing holds the link back. */
  readonly link?: Link
  readonly clock?: Clock
  /** From [0, 1). */
  readonly random?: () => number
}

export interface ReplicatorParts {
  readonly options: ReplicatorOptions
  readonly log: LogSource
  readonly upstream: Upstream
  readonly sink: LogSink
  readonly clock: Clock
  readonly selection: Selection
  readonly link: Link
  readonly standing: Standing
  readonly retries: Retries
  readonly refusals: Refusals
  readonly health: Health
  readonly courier: Courier
  readonly feed: StateFeed
}

export function assemble(options: ReplicatorOptions, deps: ReplicatorDeps): ReplicatorParts {
  const { log, upstream, cache, sink } = deps
  const { clock = systemClock, random = Math.random, selection = new Selection(EVERYTHING) } = deps
  const { name } = upstream
  const { backoff, round } = options
  const link = deps.link ?? Link.unlimited({ name, clock, sink })
  const standing = new Standing(name, { log, selection, cache, sink, clock })
  const retries = new Retries(`upstream ${name}`, { backoff, link, sink, clock, random })
  const refusals = new Refusals(name, { backoff, sink, clock, random })
  const health = new Health(clock)
  const courier = new Courier({ round, upstream, link, standing, health, clock })
  const feed = new StateFeed(name, sink, clock)
  return {
    options,
    log,
    upstream,
    sink,
    clock,
    selection,
    link,
    standing,
    retries,
    refusals,
    health,
    courier,
    feed,
  }
}
