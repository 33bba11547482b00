/**
 * What the link of an upstream or a downlink has to remember across a restart, as one fact of the broker, `link/<name>`:
 *
 *   JSON {"paused":true,"budgets":{"month/1/Europe/Berlin":{"from":1767222000000,"used":1048576}}}
 *
 * It is of this device and its contract for data, not of the log: another incarnation of the log keeps it. `used` is never less than what
 * was really used (budget.ts); a downlink has no budgets. What is not whole counts as nothing remembered.
 */
import type { Facts } from '../checkpoint-store.ts'

export interface BudgetState {
  /** Start of the period that is counted, ms since 1970; null while no trusted clock has told it. */
  readonly from: number | null
  readonly used: number
}

export interface LinkState {
  readonly paused: boolean
  readonly budgets: Readonly<Record<string, BudgetState>>
}

export interface LinkMemory {
  load(upstream: string): Promise<LinkState>
  save(upstream: string, state: LinkState): Promise<void>
}

export const NOTHING_REMEMBERED: LinkState = { paused: false, budgets: {} }

export function linkMemory(facts: Facts): LinkMemory {
  return {
    async load(upstream) {
      const bytes = await facts.get(`link/${upstream}`)
      return bytes === undefined ? NOTHING_REMEMBERED : parse(bytes)
    },
    async save(upstream, state) {
      await facts.put(`link/${upstream}`, Buffer.from(JSON.stringify(state), 'utf8'))
    },
  }
}

function parse(bytes: Buffer): LinkState {
  try {
    const { paused, budgets } = JSON.parse(bytes.toString('utf8')) as LinkState
    const known = Object.entries(budgets ?? {}).filter(
      ([, { from, used }]) => Number.isFinite(used) && used >= 0 && (from === null || Number.isFinite(from)),
    )
    return { paused: paused === true, budgets: Object.fromEntries(known) }
  } catch {
    return NOTHING_REMEMBERED
  }
}
