/** A replicator with a link of its own, by a clock that a test moves. */
import { Link, type LinkOptions, UNLIMITED } from '../../sync/link/link.ts'
import type { LinkMemory, LinkState } from '../../sync/link/link-memory.ts'
import type { LinkHints } from '../../sync/link/link-probe.ts'
import type { FakeUpstream } from './fake-upstream.ts'
import type { MemoryLog } from './memory-log.ts'
import { ManualClock, setUp } from './replicator-setup.ts'

export class Memory implements LinkMemory {
  state: LinkState = { paused: false, budgets: {} }
  saves = 0
  async load() {
    return this.state
  }
  async save(_name: string, state: LinkState) {
    this.saves++
    this.state = structuredClone(state)
  }
}

export interface World {
  readonly clock?: ManualClock
  readonly memory?: Memory
  readonly trustedNow?: () => number | null
  readonly hints?: LinkHints
  readonly log?: MemoryLog
  readonly upstream?: FakeUpstream
}

export async function withLink(options: Partial<LinkOptions>, world: World = {}) {
  const clock = world.clock ?? new ManualClock()
  const { memory, trustedNow, hints } = world
  const sink = { info: () => {}, warn: () => {}, error: () => {} }
  const link = await Link.open(
    { ...UNLIMITED, ...options },
    { name: 'fake', clock, sink, memory, trustedNow, hints },
  )
  const { log, upstream } = world
  return setUp({ clock, link, ...(log ? { log } : {}), ...(upstream ? { upstream } : {}) })
}

export const batchBytes = (upstream: FakeUpstream) =>
  upstream.rounds.map(({ parts }) =>
    parts.flatMap(({ batches }) => batches).reduce((sum, { bytes }) => sum + bytes.length, 0),
  )

/** ManualClock begins at 2027-01-15T08:00:00Z, a Friday. */
export const NIGHT = {
  windows: [{ from: '22:00', to: '06:00', days: [] }],
  timezone: 'UTC',
  outside: 'hold' as const,
}
export const HOUR = 3_600_000
