/** Topics whose ids devices know beforehand. `%c` in one is the device's client id. */
import { assert } from '../../broker/assert.ts'
import { isTopicName } from './topic-names.ts'

/** Ids above are the gateway's own services (time-service.ts). */
export const PREDEFINED_ID_MAX = 0xfeff

export class PredefinedTopics {
  readonly #templates: ReadonlyMap<number, string>

  constructor(configured: Readonly<Record<string, string>>) {
    const templates = new Map<number, string>()
    for (const [key, template] of Object.entries(configured)) {
      const fault = predefinedFault(key, template)
      assert(fault === null, `topics.predefined: ${fault}`)
      templates.set(Number(key), template)
    }
    this.#templates = templates
  }

  /** @param clientId null: of a device that never connects, for which a template with `%c` has no topic */
  topic(topicId: number, clientId: string | null): string | undefined {
    const template = this.#templates.get(topicId)
    if (template === undefined || !template.includes('%c')) return template
    return clientId === null ? undefined : template.replaceAll('%c', () => clientId)
  }
}

/** For the check of the configuration. @returns what is wrong with an entry, or null */
export function predefinedFault(key: string, template: string): string | null {
  const topicId = Number(key)
  if (!Number.isInteger(topicId) || topicId < 1 || topicId > PREDEFINED_ID_MAX) {
    return `${key} is no topic id: 1 to ${PREDEFINED_ID_MAX}`
  }
  return isTopicName(template.replaceAll('%c', 'c')) ? null : `"${template}" is no topic name`
}
