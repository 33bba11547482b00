/** Topic names and filters of devices: checked here, because a broker ends the connection of a client that sends it a bad one. */
import { topicFilterFault } from '../../broker/config/topic-filter.ts'
import { NOT_IN_NAMES } from '../names.ts'

/** MQTT-SN has no limit of its own; a name comes in one message. */
const TOPIC_BYTES_MAX = 65_535

export function isTopicName(name: string): boolean {
  return (
    name !== '' &&
    !name.includes('+') &&
    !name.includes('#') &&
    !NOT_IN_NAMES.test(name) &&
    Buffer.byteLength(name) <= TOPIC_BYTES_MAX
  )
}

export function isTopicFilter(filter: string): boolean {
  return !NOT_IN_NAMES.test(filter) && topicFilterFault(filter) === null
}

export function hasWildcard(filter: string): boolean {
  return filter.includes('+') || filter.includes('#') || filter.startsWith('$share/')
}

/** Of a topic among filters, the most urgent first: 0 matches the first of them. MQTT 5, section 4.7. */
export class Priorities {
  readonly #filters: readonly (readonly string[])[]

  constructor(filters: readonly string[]) {
    this.#filters = filters.map((filter) => filter.split('/'))
  }

  of(topic: string): number {
    if (this.#filters.length === 0) return 0
    const levels = topic.split('/')
    const at = this.#filters.findIndex((filter) => matches(filter, levels))
    return at < 0 ? this.#filters.length : at
  }
}

function matches(filter: readonly string[], levels: readonly string[]): boolean {
  if (levels[0]!.startsWith('$') && (filter[0] === '+' || filter[0] === '#')) return false
  for (let at = 0; at < filter.length; at++) {
    if (filter[at] === '#') return true
    if (at >= levels.length || (filter[at] !== '+' && filter[at] !== levels[at])) return false
  }
  return filter.length === levels.length
}
