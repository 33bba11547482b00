/** What clients, or users, may still send: a budget each, kept while they are away, so that coming again does not fill it. */
import { Bucket } from './bucket.ts'

export interface BudgetRates {
  /** null: no limit. */
  readonly messagesPerSecond: number | null
  readonly bytesPerSecond: number | null
}

/** Budgets that are kept; past it that is forgotten whose last connection began longest ago, of those that have none. */
const BUDGETS_MAX = 10_000

export class Budget {
  connections = 0
  readonly #messages: Bucket | null
  readonly #bytes: Bucket | null

  constructor({ messagesPerSecond, bytesPerSecond }: BudgetRates, now: number) {
    this.#messages = messagesPerSecond === null ? null : new Bucket(messagesPerSecond, now)
    this.#bytes = bytesPerSecond === null ? null : new Bucket(bytesPerSecond, now)
  }

  /** @returns ms until there is something again */
  charge(messages: number, bytes: number, now: number): number {
    return Math.max(this.#messages?.charge(messages, now) ?? 0, this.#bytes?.charge(bytes, now) ?? 0)
  }

  isFull(now: number): boolean {
    return (this.#messages?.isFull(now) ?? true) && (this.#bytes?.isFull(now) ?? true)
  }
}

export class Budgets {
  readonly #rates: BudgetRates
  /** Ordered by their last connection. */
  readonly #all = new Map<string, Budget>()

  constructor(rates: BudgetRates) {
    this.#rates = rates
  }

  /** A connection begins. @param id whose @returns null where there is no limit */
  enter(id: string, now: number): Budget | null {
    const { messagesPerSecond, bytesPerSecond } = this.#rates
    if (messagesPerSecond === null && bytesPerSecond === null) return null
    const budget = this.#all.get(id) ?? new Budget(this.#rates, now)
    this.#all.delete(id)
    this.#all.set(id, budget)
    budget.connections++
    if (this.#all.size > BUDGETS_MAX) forgetFirst(this.#all)
    return budget
  }

  /** It has ended. */
  leave(id: string, budget: Budget | null, now: number): void {
    if (budget === null) return
    budget.connections--
    const isLast = budget.connections === 0 && this.#all.get(id) === budget
    if (isLast && budget.isFull(now)) this.#all.delete(id)
  }
}

/** The first that has no connection. */
export function forgetFirst(all: Map<string, { readonly connections: number }>): void {
  for (const [name, { connections }] of all) {
    if (connections > 0) continue
    all.delete(name)
    return
  }
}
