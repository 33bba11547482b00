/** What is upstream against what the edge acknowledged: read_committed, by the origin that each record names. */
import type { TopicRecord } from '../support/kafka/read-topic.ts'
import { idOf } from './publisher.ts'

export interface Expected {
  readonly edge: string
  readonly stream: string
  /** By partition: offsets below are on the edge's disk. */
  readonly durable: readonly number[]
  /** Ids of all messages that were acknowledged. */
  readonly acknowledged: readonly string[]
}

export interface Audit {
  readonly records: number
  readonly problems: readonly string[]
}

const PROBLEMS_MAX = 20

export function audit(records: readonly TopicRecord[], expected: Expected): Audit {
  const problems: string[] = []
  const problem = (text: string) => {
    if (problems.length < PROBLEMS_MAX) problems.push(text)
  }
  const next = expected.durable.map(() => 0)
  const ids = new Set<string>()
  for (const { partition, offset, value, headers } of records) {
    const place = `${partition}/${offset}`
    const origin = headers.find(({ key }) => key === 'hw.origin')?.value?.toString() ?? ''
    const [edge, , stream, from, at] = origin.split('/')
    const id = idOf(value?.toString() ?? '')
    if (id === null) problem(`${place} upstream: it is not as it was published: ${value}`)
    else ids.add(id)
    if (edge !== expected.edge || stream !== expected.stream || Number(from) !== partition) {
      problem(`${place} upstream comes from ${origin}`)
      continue
    }
    const wanted = next[partition]!
    if (Number(at) === wanted) next[partition] = wanted + 1
    else if (Number(at) < wanted) problem(`${place} upstream: offset ${at} is there twice, or out of order`)
    else {
      problem(
        `${place} upstream: offsets ${wanted} to ${Number(at) - 1} of partition ${from} are missing before it`,
      )
      next[partition] = Number(at) + 1
    }
  }
  for (const [partition, durable] of expected.durable.entries()) {
    if (next[partition] !== durable)
      problem(`partition ${partition} ends at ${next[partition]} upstream, at ${durable} on the edge`)
  }
  const lost = expected.acknowledged.filter((id) => !ids.has(id))
  if (lost.length > 0)
    problem(`${lost.length} acknowledged messages are not upstream: ${lost.slice(0, 5).join(', ')}`)
  return { records: records.length, problems }
}
