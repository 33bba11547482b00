/** What the schema of an entry of `devices.bodies` cannot say. */
import { topicFilterFault } from '../../broker/config/topic-filter.ts'
import type { EntryFault } from '../config/entry-fault.ts'
import type { BodyConfig } from './config.ts'

export function bodyFaults({ topic, format, time, schema, deadLetterTopic }: BodyConfig): EntryFault[] {
  const faults: EntryFault[] = []
  const filterFault = topicFilterFault(topic)
  if (filterFault !== null) {
    faults.push({
      path: ['topic'],
      message: `"${topic}" is no topic filter: ${filterFault}`,
      hint: 'such as plant/+/state',
    })
  }
  if (/[+#\0]/.test(deadLetterTopic) || deadLetterTopic.startsWith('$')) {
    const message = `"${deadLetterTopic}" is no topic that can be published to`
    faults.push({ path: ['deadLetterTopic'], message, hint: 'without + and #, and not beginning with $' })
  }
  if (format === 'opaque' && Object.keys(schema).length > 0) {
    faults.push({
      path: ['schema'],
      message: 'opaque bodies have no values',
      hint: 'set format to cbor, or remove schema',
    })
  }
  if (format === 'opaque' && time === 'key') {
    faults.push({
      path: ['time'],
      message: 'opaque bodies have no keys',
      hint: 'set format to cbor, or time to prefix',
    })
  }
  const names = new Map<string, string>()
  for (const [key, { name }] of Object.entries(schema)) {
    const other = names.get(name)
    if (other !== undefined) {
      const message = `keys ${other} and ${key} are both called "${name}"`
      faults.push({ path: ['schema', key, 'name'], message, hint: 'give each a name of its own' })
    }
    names.set(name, key)
  }
  return faults
}
