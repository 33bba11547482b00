/** What a PromQL expression asks for, by the grammar of Prometheus' own editor. */
import { parser } from '@prometheus-io/lezer-promql'

export interface Selector {
  readonly metric: string
  /** Labels that are matched, and the value where it is an equality. */
  readonly matchers: readonly (readonly [label: string, equals: string | null])[]
}

export interface Asked {
  readonly selectors: readonly Selector[]
  /** Of `by`, `without`, `on`, `ignoring`, `group_left`. */
  readonly grouping: readonly string[]
  /** Pieces that are no PromQL. */
  readonly faults: readonly string[]
}

interface Open {
  metric: string
  readonly matchers: [string, string | null][]
}

export function asked(expression: string): Asked {
  const selectors: Open[] = []
  const grouping: string[] = []
  const faults: string[] = []
  const text = (from: number, to: number) => expression.slice(from, to)
  let isEquality = false
  let isGrouping = false
  parser.parse(expression).iterate({
    enter({ name, from, to, type }) {
      if (type.isError) faults.push(`${expression.slice(0, from)} ⚠ ${expression.slice(from)}`)
      if (name === 'VectorSelector') selectors.push({ metric: '', matchers: [] })
      if (name === 'Identifier' && selectors.length > 0) selectors.at(-1)!.metric = text(from, to)
      if (name === 'GroupingLabels') isGrouping = true
      if (name === 'LabelName' && isGrouping) grouping.push(text(from, to))
      if (name === 'LabelName' && !isGrouping) selectors.at(-1)!.matchers.push([text(from, to), null])
      if (name === 'EqlSingle') isEquality = true
      if (name === 'StringLiteral' && isEquality) {
        selectors.at(-1)!.matchers.at(-1)![1] = text(from + 1, to - 1)
        isEquality = false
      }
    },
    leave({ name }) {
      if (name === 'GroupingLabels') isGrouping = false
    },
  })
  return { selectors, grouping, faults }
}
