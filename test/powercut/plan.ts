/** When the power is cut in a cycle, drawn from the seed. */
import type { Random } from '../support/random.ts'
import type { Moment, Scenario } from './scenarios.ts'
import { LOSSES, type Loss } from './volatile-disk.ts'

/** A cut while the system comes up after the one before. */
export interface LaterCut {
  readonly during: 'mount' | 'start'
  readonly loss: Loss
  /** 0 to 1: how far through the writes that it took the last time. */
  readonly share: number
}

export interface CyclePlan {
  readonly moment: Moment
  readonly loss: Loss
  /** Milliseconds before the moment is looked for. */
  readonly waitMs: number
  /** Writes and flushes from the moment to the cut. */
  readonly after: number
  readonly later: readonly LaterCut[]
}

const WAIT_MS = { min: 20, max: 500 } as const
const COMMIT_OPERATIONS_MAX = 900
const COMPACTION_OPERATIONS_MAX = 2500
/** A roll takes about twice as many. */
const TRIGGER_OPERATIONS_MAX = 60
const SHUTDOWN_OPERATIONS_MAX = 12
const LATER_CUTS_MAX = 3

export function planCycle(random: Random, scenario: Scenario): CyclePlan {
  const moment = momentOf(random, scenario)
  const later: LaterCut[] = []
  while (later.length < LATER_CUTS_MAX && random.next() < 0.4) {
    const during = random.next() < 0.3 ? 'mount' : 'start'
    later.push({ during, loss: lossOf(random), share: random.next() })
  }
  return {
    moment,
    loss: lossOf(random),
    waitMs: random.between(WAIT_MS.min, WAIT_MS.max),
    after: random.between(1, operationsMax(moment)),
    later,
  }
}

/** `roll, start, mount`: all cuts of a cycle. */
export function momentsOf({ moment, later }: CyclePlan): string[] {
  return [moment, ...later.map(({ during }) => during)]
}

function lossOf(random: Random): Loss {
  return LOSSES[random.between(0, LOSSES.length - 1)]!
}

function momentOf(random: Random, { moments }: Scenario): Moment {
  const weights = Object.entries(moments) as [Moment, number][]
  let left = random.next() * weights.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [moment, weight] of weights) {
    left -= weight
    if (left < 0) return moment
  }
  throw new Error('a scenario has at least one moment')
}

function operationsMax(moment: Moment): number {
  switch (moment) {
    case 'commit':
      return COMMIT_OPERATIONS_MAX
    case 'compaction':
      return COMPACTION_OPERATIONS_MAX
    case 'shutdown':
      return SHUTDOWN_OPERATIONS_MAX
    default:
      return TRIGGER_OPERATIONS_MAX
  }
}
