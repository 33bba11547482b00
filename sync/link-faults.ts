/** What is wrong with what an upstream's configuration says about its link, where a schema cannot tell. */
import type { UpstreamConfig } from './config.ts'
import { budgetKey } from './link/budget.ts'

export interface ConfigFault {
  /** Below the upstream's entry. */
  readonly path: readonly string[]
  readonly message: string
  readonly hint: string
}

/** @param isCron checks a cron expression; without it they are taken as they are */
export function linkFaults(
  config: UpstreamConfig,
  isCron: (text: string) => boolean = () => true,
): ConfigFault[] {
  const faults: ConfigFault[] = []
  for (const name of timezonesOf(config)) {
    if (isTimezone(name)) continue
    const path = config.schedule?.timezone === name ? ['schedule', 'timezone'] : ['budgets']
    const hint = 'use a name such as Europe/Berlin, UTC, or system'
    faults.push({ path, message: `there is no time zone "${name}"`, hint })
  }
  for (const window of config.schedule?.windows ?? []) {
    if (!('cron' in window) || isCron(window.cron)) continue
    const hint = 'five fields as in cron, such as "* 22-23,0-5 * * *"'
    faults.push({ path: ['schedule', 'windows'], message: `"${window.cron}" is no cron expression`, hint })
  }
  const keys = (config.budgets ?? []).map((budget) => budgetKey(budget))
  if (new Set(keys).size < keys.length) {
    const hint = 'the smaller one alone does the same; remove the other'
    faults.push({ path: ['budgets'], message: 'two budgets are of the same period', hint })
  }
  if (config.backoff.firstMs > config.backoff.msMax) {
    const hint = 'raise backoff.msMax'
    faults.push({ path: ['backoff'], message: 'firstMs is more than msMax', hint })
  }
  return faults
}

function timezonesOf({ schedule, budgets = [] }: UpstreamConfig): Set<string> {
  return new Set([
    ...(schedule === undefined ? [] : [schedule.timezone]),
    ...budgets.map(({ timezone }) => timezone),
  ])
}

function isTimezone(name: string): boolean {
  if (name === 'system') return true
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name })
    return true
  } catch {
    return false
  }
}
