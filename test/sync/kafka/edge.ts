/** An edge for the tests of failures: a replicator on a real Kafka, whose requests a test can stand in front of. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { Replicator } from '../../../sync/index.ts'
import type { KafkaUpstream } from '../../../sync/kafka/kafka-upstream.ts'
import { readTopic } from '../../support/kafka/index.ts'
import type { MemoryLog } from '../memory-log.ts'
import { MemoryCache, OPTIONS } from '../replicator-setup.ts'
import { settled } from './kafka-place.ts'
import { type OpenOptions, openKafka } from './open-kafka.ts'

const WAIT_MS_MAX = 25_000

export interface Edge {
  readonly log: MemoryLog
  readonly upstream: KafkaUpstream
  readonly replicator: Replicator
  readonly cache: MemoryCache
  /** What an operator reads, `level message`. */
  readonly lines: string[]
  /** How often each request was asked. */
  readonly asked: Map<string, number>
  /** Requests that failed, and how. */
  readonly refusals: string[]
}

const running = new Set<Edge>()

/** Call it in afterEach. */
export async function closeEdges(): Promise<void> {
  await Promise.all([...running].map(close))
}

export async function close(edge: Edge): Promise<void> {
  running.delete(edge)
  await edge.replicator.close()
}

export function startEdge(
  bootstrap: string,
  name: string,
  log: MemoryLog,
  { cache = new MemoryCache(), ...open }: OpenOptions & { cache?: MemoryCache } = {},
): Edge {
  const lines: string[] = []
  const asked = new Map<string, number>()
  const refusals: string[] = []
  const around: NonNullable<OpenOptions['around']> = (method, ask) => {
    asked.set(method, (asked.get(method) ?? 0) + 1)
    const answer = open.around === undefined ? ask() : open.around(method, ask)
    answer.catch((error) => refusals.push(`${method}: ${(error as Error).message}`))
    return answer
  }
  const upstream = openKafka(bootstrap, name, { ...open, around })
  const options = {
    ...OPTIONS,
    round: { ...OPTIONS.round, lingerMs: 5 },
    backoff: { firstMs: 20, msMax: 300 },
  }
  const say = (level: string) => (message: string) => lines.push(`${level} ${message}`)
  const sink = { info: say('info'), warn: say('warn'), error: say('error') }
  const replicator = new Replicator(options, { log, upstream, cache, sink })
  const edge = { log, upstream, replicator, cache, lines, asked, refusals }
  running.add(edge)
  replicator.start()
  return edge
}

export async function until(edge: Edge, what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX
  while (!isSo()) {
    if (Date.now() > deadline) {
      const { state, lastError } = edge.replicator.status()
      const history = [...edge.lines, ...edge.refusals.slice(-20), ...edge.asked].join('\n')
      throw new Error(`not ${what} but ${state}: ${lastError?.message}\n${history}`)
    }
    await sleep(2)
  }
}

export async function caughtUp(edge: Edge): Promise<void> {
  const { replicator } = edge
  await until(
    edge,
    'caught up',
    () => replicator.status().state === 'idle' && replicator.status().lagRecords === 0,
  )
}

export async function stopped(edge: Edge): Promise<void> {
  await until(edge, 'stopped', () => edge.replicator.status().state === 'stopped')
}

export async function failing(edge: Edge, code: string): Promise<void> {
  await until(edge, `failing with ${code}`, () => edge.replicator.status().lastError?.code === code)
}

/** hw.origin of the records that a reader sees, by partition in the topic's order. */
export async function originsOf(bootstrap: string, name: string, log: MemoryLog): Promise<string[][]> {
  await settled(bootstrap, `${name}.${log.identity.edge}`)
  const records = await readTopic(bootstrap, `${name}-events`, { settled: true })
  const partitions = log.partitions().filter(({ stream }) => stream === 'events').length
  return Array.from({ length: partitions }, (_, partition) =>
    records
      .filter((record) => record.partition === partition)
      .map(({ headers }) => headers.find(({ key }) => key === 'hw.origin')!.value!.toString()),
  )
}

/** A reader sees each record of the log from `first` on (by partition) once and in order, and no other. */
export async function expectExact(
  bootstrap: string,
  name: string,
  log: MemoryLog,
  first: readonly number[] = [],
): Promise<void> {
  const { edge, incarnation } = log.identity
  const expected = log.partitions().map(({ partition, durableOffset }) => {
    const from = first[partition] ?? 0
    return Array.from(
      { length: durableOffset - from },
      (_, i) => `${edge}/${incarnation.slice(0, 8)}/events/${partition}/${from + i}`,
    )
  })
  expect(await originsOf(bootstrap, name, log)).toEqual(expected)
}
