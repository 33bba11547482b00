/** Whether an expression asks for what there is. */
import { KNOWN } from './known-metrics.ts'
import { asked } from './promql.ts'

/** Functions that mean something of a counter alone. */
const OF_COUNTERS = /\b(?:rate|irate|increase|resets)\((\w+)/g

/** @returns what is wrong with it; empty where nothing is */
export function expressionFaults(expression: string): string[] {
  const { selectors, grouping, faults } = asked(expression)
  const found = [...faults]
  const labels = new Set<string>()
  for (const { metric, matchers } of selectors) {
    const known = KNOWN.get(metric)
    if (known === undefined) found.push(`there is no metric ${metric}`)
    for (const label of known?.labels ?? []) labels.add(label)
    for (const [label] of matchers)
      if (!known?.labels.includes(label)) found.push(`${metric} has no label ${label}`)
  }
  for (const label of grouping) if (!labels.has(label)) found.push(`nothing asked for has a label ${label}`)
  if (selectors.length === 0) found.push('it asks for no metric')
  for (const [, metric] of expression.matchAll(OF_COUNTERS))
    if (KNOWN.get(metric!)?.type !== 'counter') found.push(`${metric} is no counter`)
  return found
}

/** Labels that series of the expression may have: those of the grouping where there is one. */
export function labelsOf(expression: string): Set<string> {
  return new Set(asked(expression).selectors.flatMap(({ metric }) => KNOWN.get(metric)?.labels ?? []))
}
