/** A replicator between a log and an upstream in memory, with time that a test moves. */
import { afterEach } from 'vitest'
import type { CachedCheckpoint, CheckpointCache } from '../../sync/checkpoint.ts'
import type { Clock } from '../../sync/clock.ts'
import { UpstreamUnreachableError } from '../../sync/errors.ts'
import { EVERYTHING, Selection, type SelectionOptions } from '../../sync/filter/selection.ts'
import type { Link } from '../../sync/link/link.ts'
import { Replicator } from '../../sync/replicator.ts'
import type { ReplicatorOptions } from '../../sync/replicator-parts.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { MemoryLog } from './memory-log.ts'

export const OPTIONS: ReplicatorOptions = {
  round: { bytesMin: 1024, bytesMax: 1 << 20, msTarget: 2000, lingerMs: 100 },
  backoff: { firstMs: 1000, msMax: 20_000 },
}

/** Time that moves when a test moves it. */
export class ManualClock implements Clock {
  time = 1_800_000_000_000
  #timers: { at: number; callback: () => void }[] = []
  now() {
    return this.time
  }
  monotonic() {
    return this.time
  }
  after(ms: number, callback: () => void) {
    const timer = { at: this.time + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }
  get waiting(): number[] {
    return this.#timers.map(({ at }) => at - this.time)
  }
  advance(ms: number) {
    this.time += ms
    const due = this.#timers.filter(({ at }) => at <= this.time)
    this.#timers = this.#timers.filter(({ at }) => at > this.time)
    for (const { callback } of due) callback()
  }
}

export class MemoryCache implements CheckpointCache {
  saved: CachedCheckpoint | null = null
  saves = 0
  async load() {
    return this.saved
  }
  async save(_name: string, checkpoint: CachedCheckpoint) {
    this.saves++
    this.saved = structuredClone(checkpoint)
  }
}

const open: Replicator[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((replicator) => replicator.close()))
})

export function setUp(
  changes: {
    log?: MemoryLog
    upstream?: FakeUpstream
    cache?: MemoryCache
    options?: Partial<ReplicatorOptions>
    selection?: Partial<SelectionOptions>
    link?: Link
    clock?: ManualClock
  } = {},
) {
  const log = changes.log ?? new MemoryLog().addStream('events', 2)
  const upstream = changes.upstream ?? new FakeUpstream()
  const cache = changes.cache ?? new MemoryCache()
  const clock = changes.clock ?? new ManualClock()
  const lines: string[] = []
  const sink = {
    info: (message: string) => lines.push(`info ${message}`),
    warn: (message: string) => lines.push(`warn ${message}`),
    error: (message: string) => lines.push(`error ${message}`),
  }
  const options = { ...OPTIONS, ...changes.options }
  const replicator = new Replicator(options, {
    log,
    upstream,
    cache,
    sink,
    clock,
    random: () => 1 - Number.EPSILON,
    selection: new Selection({ ...EVERYTHING, ...changes.selection }),
    ...(changes.link === undefined ? {} : { link: changes.link }),
  })
  open.push(replicator)
  return { log, upstream, cache, clock, lines, replicator }
}

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
}

export const unreachable = () => new UpstreamUnreachableError('Kafka at 127.0.0.1:1: refused', 'start it')
export const valuesOf = (from: number, to: number, key = 'events/0') =>
  Array.from({ length: to - from }, (_, i) => `${key}/${from + i}`)
