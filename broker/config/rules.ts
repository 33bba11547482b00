/** What the schema cannot say: rules between keys. Each gives a path and a sentence. */
import { validate } from 'node-cron'
import { areOnePort, formatListenAddress, type ListenAddress, parseListenAddress } from './address.ts'
import type { Path } from './document.ts'
import { doorProblems, doorWarnings } from './door-rules.ts'
import { httpProblems, httpWarnings } from './http-rules.ts'
import type { Config, StreamConfig } from './schema.ts'
import { filterCovers, streamFilterFault } from './topic-filter.ts'

export interface RuleProblem {
  readonly path: Path
  readonly message: string
  readonly hint: string
}

/** @param config well-formed by the schema, paths resolved. */
export function ruleProblems(config: Config): RuleProblem[] {
  return [
    ...listenerProblems(config),
    ...httpProblems(config),
    ...doorProblems(config),
    ...limitProblems(config),
    ...scheduleProblems(config),
    ...streamProblems(config.streams),
    ...upstreamProblems(config),
    ...downlinkProblems(config),
  ]
}

/** What is allowed and probably not meant. */
export function ruleWarnings(config: Config, place: (path: Path) => string): string[] {
  const warnings: string[] = [...doorWarnings(config, place), ...httpWarnings(config, place)]
  for (const [index, { topics }] of config.streams.entries()) {
    for (const [at, filter] of topics.entries()) {
      if (!filter.split('/').includes('*')) continue
      const where = place(['streams', index, 'topics', at])
      warnings.push(`${where}: in "${filter}" the "*" is no wildcard - ${filterHint(filter)}`)
    }
  }
  return warnings
}

function listenerProblems(config: Config): RuleProblem[] {
  const problems: RuleProblem[] = []
  const seen: { readonly address: ListenAddress; readonly index: number }[] = []
  for (const [index, { address }] of config.mqtt.listeners.entries()) {
    const path = ['mqtt', 'listeners', index, 'address']
    const parsed = parseListenAddress(address)
    if (typeof parsed === 'string') {
      const hint = 'write host:port, [IPv6]:port, or a port alone'
      problems.push({ path, message: `"${address}" is no address to listen on: ${parsed}`, hint })
      continue
    }
    const name = formatListenAddress(parsed)
    const taken = seen.find((other) => areOnePort(other.address, parsed))
    if (taken !== undefined) {
      const other = formatListenAddress(taken.address)
      const message =
        other === name
          ? `${name} is listened on twice (mqtt.listeners[${taken.index}] is the same)`
          : `${name} is taken already: mqtt.listeners[${taken.index}] has this port on ${other}`
      problems.push({ path, message, hint: other === name ? 'remove one of them' : 'give one another port' })
    }
    seen.push({ address: parsed, index })
  }
  return problems
}

function limitProblems({ limits }: Config): RuleProblem[] {
  const { admittedBytesMax, recordBytesMax } = limits
  if (admittedBytesMax >= recordBytesMax) return []
  return [
    {
      path: ['limits', 'admittedBytesMax'],
      message: `limits.admittedBytesMax is ${admittedBytesMax}, less than limits.recordBytesMax (${recordBytesMax})`,
      hint: `raise it to ${recordBytesMax} or more, or lower limits.recordBytesMax`,
    },
  ]
}

function scheduleProblems({ log }: Config): RuleProblem[] {
  const { schedule } = log.compaction
  if (validate(schedule)) return []
  const path = ['log', 'compaction', 'schedule']
  const hint =
    'five fields: minute hour day month weekday, such as "30 2 * * *" for every night at half past two'
  return [{ path, message: `"${schedule}" is no schedule`, hint }]
}

function streamProblems(streams: readonly StreamConfig[]): RuleProblem[] {
  const problems: RuleProblem[] = []
  const names = new Map<string, number>()
  /** The valid filters so far, in the order in which messages meet them. */
  const taken: { stream: string; filter: string }[] = []
  for (const [index, { name, topics, key, table }] of streams.entries()) {
    const first = names.get(name)
    if (first === undefined) names.set(name, index)
    else problems.push(duplicateName('stream', ['streams', index, 'name'], name, `streams[${first}]`))
    if (name === '.' || name === '..') {
      const message = `a stream cannot be called "${name}"`
      problems.push({ path: ['streams', index, 'name'], message, hint: 'Kafka allows no topic of that name' })
    }
    problems.push(...cleanupProblems(streams[index]!, index))
    if (table && key === 'none') {
      const message = `stream "${name}" cannot have a table: its records have no key`
      const hint = 'set key to topic, { levels: [...] } or { pointer: ... }, or table: false'
      problems.push({ path: ['streams', index, 'table'], message, hint })
    }
    for (const [at, filter] of topics.entries()) {
      const path = ['streams', index, 'topics', at]
      const fault = streamFilterFault(filter)
      if (fault !== null) {
        const message = `"${filter.replaceAll('\0', '\\0')}" is no topic filter: ${fault}`
        problems.push({ path, message, hint: filterHint(filter) })
        continue
      }
      const cover = taken.find((earlier) => filterCovers(earlier.filter, filter))
      if (cover !== undefined) problems.push(deadFilter(path, name, filter, cover))
      else taken.push({ stream: name, filter })
    }
  }
  return problems
}

function cleanupProblems({ name, key, cleanup, retention }: StreamConfig, index: number): RuleProblem[] {
  const problems: RuleProblem[] = []
  if (cleanup !== 'delete' && key === 'none') {
    const message = `stream "${name}" is compacted by key and has none`
    problems.push({ path: ['streams', index, 'cleanup'], message, hint: 'give it a key, or cleanup: delete' })
  }
  for (const limit of ['bytes', 'seconds'] as const) {
    if (cleanup !== 'compact' || retention[limit] === undefined) continue
    const message = `retention.${limit} has no effect on stream "${name}": it is only compacted`
    problems.push({
      path: ['streams', index, 'retention', limit],
      message,
      hint: 'say cleanup: compact,delete',
    })
  }
  return problems
}

function duplicateName(what: string, path: Path, name: string, first: string): RuleProblem {
  const message = `there are two ${what}s called "${name}" (${first} is the other)`
  return { path, message, hint: 'give each its own name' }
}

function deadFilter(
  path: Path,
  stream: string,
  filter: string,
  cover: { stream: string; filter: string },
): RuleProblem {
  if (cover.stream === stream) {
    const message = `"${filter}" adds nothing: "${cover.filter}" of the same stream takes all that it takes`
    return { path, message, hint: 'remove it' }
  }
  const message = `"${filter}" can never match: stream "${cover.stream}" stands above and takes it with "${cover.filter}"`
  return { path, message, hint: `move stream "${stream}" above "${cover.stream}"` }
}

function filterHint(filter: string): string {
  if (filter.includes('*')) return 'MQTT has "+" for one level and "#" for all that follow'
  return 'examples: "plant/+/temperature", "plant/#", "#"'
}

function upstreamProblems({ upstreams, data }: Config): RuleProblem[] {
  const problems: RuleProblem[] = []
  const names = new Map<string, number>()
  const directories = new Map<string, string>()
  for (const [index, { name, directory }] of upstreams.entries()) {
    const first = names.get(name)
    if (first === undefined) names.set(name, index)
    else problems.push(duplicateName('upstream', ['upstreams', index, 'name'], name, `upstreams[${first}]`))
    if (typeof directory !== 'string') continue
    const path = ['upstreams', index, 'directory']
    const other = directories.get(directory)
    if (directory === data) {
      const hint = 'give the archive a directory of its own'
      problems.push({ path, message: `upstream "${name}" would write into the data directory itself`, hint })
    } else if (other !== undefined) {
      const message = `upstreams "${other}" and "${name}" would write into one directory`
      problems.push({ path, message, hint: 'give each its own directory' })
    }
    directories.set(directory, name)
  }
  return problems
}

/** One name means one thing in status and commands. */
function downlinkProblems({ upstreams, downlinks }: Config): RuleProblem[] {
  const problems: RuleProblem[] = []
  const names = new Map(upstreams.map(({ name }, index) => [name, `upstreams[${index}]`]))
  for (const [index, { name }] of downlinks.entries()) {
    const first = names.get(name)
    if (first === undefined) names.set(name, `downlinks[${index}]`)
    else {
      const message = `downlink "${name}" has the name of ${first}`
      problems.push({ path: ['downlinks', index, 'name'], message, hint: 'give each its own name' })
    }
  }
  return problems
}
