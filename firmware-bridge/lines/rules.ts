/** What the schema of a link of lines cannot say. */
import type { EntryFault } from '../config/entry-fault.ts'
import { TopicPattern } from '../outlet/topic-pattern.ts'
import type { LineLinkConfig } from './config.ts'

/** %p, the port; %k, the name of a value. */
const LETTERS = 'pk'

export function lineLinkFaults({ topic, format, columns, whenFull, rtscts }: LineLinkConfig): EntryFault[] {
  const faults: EntryFault[] = []
  const fault = TopicPattern.fault(topic, LETTERS)
  if (fault !== null) {
    const hint = 'such as plant/%p or plant/%{id}/%k'
    faults.push({ path: ['topic'], message: `topic "${topic}": ${fault}`, hint })
  } else if (format === 'text' && new TopicPattern(topic).needsValues) {
    const message = 'the topic has names of values, and lines of text have none'
    faults.push({ path: ['topic'], message, hint: 'use %p alone, or another format' })
  }
  if (columns !== undefined && format !== 'csv') {
    faults.push({
      path: ['columns'],
      message: `columns have no meaning in ${format}`,
      hint: 'remove them, or set format to csv',
    })
  }
  if (whenFull === 'pause' && !rtscts) {
    const message = 'a port that is not read loses lines, uncounted, where the device does not stop'
    faults.push({ path: ['whenFull'], message, hint: 'set rtscts to true, or whenFull to drop-oldest' })
  }
  return faults
}
