/** A place for the contract suite on a real cluster, with names of its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaUpstreamOptions } from '../../../sync/kafka/kafka-upstream.ts'
import { openWire } from '../../../sync/kafka/platformatic-wire.ts'
import { type ClusterInfo, type WireAnswerError, WireConnectionError } from '../../../sync/kafka/wire.ts'
import { createTopic, readTopic, uniqueName } from '../../support/kafka/index.ts'
import { testIdentity } from '../memory-log.ts'
import type { ReadBack, UpstreamPlace } from '../upstream-harness.ts'
import { openKafka, wireOptions } from './open-kafka.ts'

/** After `steps` requests none reaches Kafka; the one at the edge did, and its answer was lost. */
export function mortalRequests() {
  let left = Number.POSITIVE_INFINITY
  let dead = false
  return {
    arm: (steps: number) => {
      left = steps
    },
    died: () => dead,
    async around(_method: string, ask: () => Promise<unknown>): Promise<unknown> {
      if (left-- > 0) return ask()
      dead = true
      throw new WireConnectionError('broken', 'kafka', false, 'the process died here', null)
    },
  }
}

/**
 * A commit is decided when EndTxn answers, and visible once its markers are written, a little later: waits for that.
 * @param id the transactional id
 */
export async function settled(bootstrap: string, id: string): Promise<void> {
  const wire = await openWire(wireOptions(bootstrap))
  try {
    for (let tries = 0; tries < 1000; tries++) {
      const coordinator = await wire.findCoordinator('transaction', id)
      const state = await wire.describeTransaction(coordinator, id).then(
        (found) => found.state,
        (error) => (error as WireAnswerError).answer,
      )
      const isSettled = ['Empty', 'CompleteCommit', 'CompleteAbort', 'TRANSACTIONAL_ID_NOT_FOUND']
      if (isSettled.includes(state)) return
      await sleep(10)
    }
    throw new Error(`the transaction of ${id} does not end`)
  } finally {
    wire.close()
  }
}

export async function readBack(bootstrap: string, name: string, stream: string): Promise<ReadBack[]> {
  const records = await readTopic(bootstrap, `${name}-${stream}`).catch((error) => {
    if (/UNKNOWN_TOPIC|unknown topic/i.test(String(error))) return []
    throw error
  })
  return records.map((record) => ({
    stream,
    partition: record.partition,
    key: record.key?.toString() ?? null,
    value: record.value?.toString() ?? null,
    timestamp: Number(record.timestamp),
    headers: record.headers
      .filter(({ key }) => key !== 'hw.origin')
      .map(({ key, value }) => [key, value?.toString() ?? null] as const),
  }))
}

const ORIGIN = /^.*\/(\d+)\/(\d+)$/

/**
 * The same for a topic whose partitions are not the stream's: by the edge's own partitions, from `hw.origin`. A key stays
 * in one partition of the topic, and in order there but for what comes again.
 */
export async function readByOrigin(bootstrap: string, name: string, stream: string): Promise<ReadBack[]> {
  const records = await readTopic(bootstrap, `${name}-${stream}`)
  const lastOf = new Map<string, { partition: number; offset: number }>()
  const found = records.map((record) => {
    const origin = record.headers.find(({ key }) => key === 'hw.origin')!.value!.toString()
    const [partition, offset] = ORIGIN.exec(origin)!.slice(1).map(Number) as [number, number]
    const key = JSON.stringify([partition, record.key?.toString() ?? null])
    const last = lastOf.get(key)
    if (last !== undefined && record.partition !== last.partition) {
      throw new Error(`key ${key} is in partitions ${last.partition} and ${record.partition}`)
    }
    if (last === undefined || offset > last.offset) lastOf.set(key, { partition: record.partition, offset })
    return { record, key, partition, offset }
  })
  checkOrder(found)
  found.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  return found.map(({ record, partition }) => ({
    stream,
    partition,
    key: record.key?.toString() ?? null,
    value: record.value?.toString() ?? null,
    timestamp: Number(record.timestamp),
    headers: record.headers
      .filter(({ key }) => key !== 'hw.origin')
      .map(({ key, value }) => [key, value?.toString() ?? null] as const),
  }))
}

/** Of each key, what is seen for the first time is behind all that was seen before. */
function checkOrder(found: readonly { key: string; offset: number }[]): void {
  const seen = new Map<string, Set<number>>()
  for (const { key, offset } of found) {
    const offsets = seen.get(key) ?? new Set()
    if (!offsets.has(offset) && [...offsets].some((other) => other > offset)) {
      throw new Error(`key ${key}: offset ${offset} comes after a later one`)
    }
    seen.set(key, offsets.add(offset))
  }
}

export interface PlaceOptions {
  readonly options?: Partial<KafkaUpstreamOptions>
  /** Topics that are there before, by stream: with these numbers of partitions. */
  readonly topics?: Readonly<Record<string, number>>
}

export async function kafkaPlace(
  bootstrap: string,
  { options = {}, topics = {} }: PlaceOptions = {},
): Promise<UpstreamPlace> {
  const name = uniqueName('sync')
  for (const [stream, partitions] of Object.entries(topics)) {
    await createTopic(bootstrap, `${name}-${stream}`, partitions)
  }
  // A mortal's requests fail for good: there is nothing to wait for.
  const common = { options, resendMs: 100 }
  return {
    open: () => openKafka(bootstrap, name, common),
    openMortal: () => {
      const { arm, died, around } = mortalRequests()
      return { upstream: openKafka(bootstrap, name, { ...common, around }), arm, died }
    },
    async openRefusing(stream) {
      let isAllowed = false
      const unseen = { answer: 'TOPIC_AUTHORIZATION_FAILED', topicId: '', partitions: [] }
      const around = async (method: string, ask: () => Promise<unknown>) => {
        const answer = await ask()
        if (method !== 'metadata' || isAllowed) return answer
        const cluster = answer as ClusterInfo
        const topics = [...cluster.topics].map(([topic, info]) => {
          return [topic, topic === `${name}-${stream}` ? unseen : info] as const
        })
        return { ...cluster, topics: new Map(topics) }
      }
      const allow = async () => {
        isAllowed = true
      }
      return { upstream: openKafka(bootstrap, name, { ...common, around }), allow }
    },
    async read(streams) {
      if (options.mode !== 'fleet') await settled(bootstrap, `${name}.${testIdentity().edge}`)
      const read = Object.keys(topics).length > 0 ? readByOrigin : readBack
      const all = await Promise.all([...streams.keys()].map((stream) => read(bootstrap, name, stream)))
      return all.flat()
    },
    dispose: async () => {},
  }
}
