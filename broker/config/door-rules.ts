/** Rules between the keys that say who may connect and what they may do. */
import type { Path } from './document.ts'
import type { RuleProblem } from './rules.ts'
import type { Config } from './schema.ts'
import { topicFilterFault } from './topic-filter.ts'

/** What clients without a name are called in permissions. */
const ANONYMOUS = 'anonymous'

export function doorProblems({ mqtt, streams }: Config): RuleProblem[] {
  const problems: RuleProblem[] = []
  for (const [index, { tls }] of mqtt.listeners.entries()) {
    if (tls?.clientCertificate === undefined || tls.clientCaFile !== undefined) continue
    problems.push({
      path: ['mqtt', 'listeners', index, 'tls', 'clientCertificate'],
      message: 'clientCertificate says nothing without clientCaFile: no certificate could be checked',
      hint: "add clientCaFile, the authority of the clients' certificates, or remove it",
    })
  }
  for (const [index, permission] of mqtt.permissions.entries()) {
    for (const action of ['publish', 'subscribe'] as const) {
      for (const [at, filter] of permission[action].entries()) {
        const problem = filterProblem(filter, ['mqtt', 'permissions', index, action, at])
        if (problem !== null) problems.push(problem)
      }
    }
  }
  for (const [index, { name, writer }] of streams.entries()) {
    if (writer !== ANONYMOUS) continue
    const message = `the writer of stream "${name}" has to have a name`
    const hint = 'name a user, or remove writer'
    problems.push({ path: ['streams', index, 'writer'], message, hint })
  }
  return problems
}

function filterProblem(filter: string, path: Path): RuleProblem | null {
  const problem = (fault: string, hint: string) => ({
    path,
    message: `"${filter.replaceAll('\0', '\\0')}" is no topic filter: ${fault}`,
    hint,
  })
  const other = /%(?![cu])./u.exec(filter)
  if (other !== null) return problem(`"${other[0]}" stands for nothing`, 'there are %c and %u')
  if (filter === '$share' || filter.startsWith('$share/')) {
    return problem('shared subscriptions are allowed by their filter', 'write it without "$share/group/"')
  }
  const fault = topicFilterFault(filter.replaceAll(/%[cu]/g, 'x'))
  return fault === null ? null : problem(fault, 'examples: "plant/+/temperature", "plant/%u/#", "#"')
}

/** What is allowed and probably not meant. */
export function doorWarnings({ mqtt }: Config, place: (path: Path) => string): string[] {
  const warnings: string[] = []
  for (const [index, { users, publish, subscribe }] of mqtt.permissions.entries()) {
    const where = place(['mqtt', 'permissions', index])
    if (publish.length + subscribe.length === 0) {
      warnings.push(`${where}: this permission allows nothing - give it publish or subscribe`)
    }
    if (!mqtt.anonymous && users.includes(ANONYMOUS)) {
      warnings.push(
        `${where}: there are no anonymous clients - set mqtt.anonymous: true, or remove "${ANONYMOUS}"`,
      )
    }
  }
  return warnings
}
