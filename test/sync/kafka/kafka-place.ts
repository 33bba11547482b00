/** Kafka upstreams for tests, on a real cluster, each with names of its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../../sync/clock.ts'
import { KafkaUpstream, type KafkaUpstreamOptions } from '../../../sync/kafka/kafka-upstream.ts'
import { openWire, type WireOptions } from '../../../sync/kafka/platformatic-wire.ts'
import { type KafkaWire, type WireAnswerError, WireConnectionError } from '../../../sync/kafka/wire.ts'
import { readTopic, uniqueName } from '../../support/kafka/index.ts'
import { testIdentity } from '../memory-log.ts'
import type { ReadBack, UpstreamPlace } from '../upstream-contract.ts'

export function kafkaOptions(bootstrap: string, name: string, changes: Partial<KafkaUpstreamOptions> = {}) {
  const options: KafkaUpstreamOptions = {
    name: 'kafka',
    bootstrap,
    topic: `${name}-{stream}`,
    createTopics: true,
    replicationFactor: -1,
    topicConfig: {},
    groupPrefix: `${name}.`,
    transactionTimeoutMs: 10_000,
    batchBytesMax: 1_000_000,
    provenance: 'record',
    ...changes,
  }
  return options
}

export function wireOptions(bootstrap: string, changes: Partial<WireOptions> = {}): WireOptions {
  const addresses = bootstrap.split(',').map((address) => {
    const [host, port] = address.split(':')
    return { host: host!, port: Number(port) }
  })
  return { clientId: 'headwater-test', bootstrap: addresses, connectMs: 5000, requestMs: 10_000, ...changes }
}

/** Puts `around` in front of every request of a wire. */
export function wrapWire(
  wire: KafkaWire,
  around: (method: string, ask: () => Promise<unknown>) => Promise<unknown>,
): KafkaWire {
  return new Proxy(wire, {
    get(target, property: keyof KafkaWire) {
      const method = target[property]
      if (property === 'close' || typeof method !== 'function') return method?.bind(target)
      return (...args: unknown[]) =>
        around(property, () => (method as (...a: unknown[]) => Promise<unknown>).apply(target, args))
    },
  })
}

export interface OpenOptions {
  readonly options?: Partial<KafkaUpstreamOptions>
  readonly wire?: Partial<WireOptions>
  readonly around?: (method: string, ask: () => Promise<unknown>) => Promise<unknown>
}

export function openKafka(
  bootstrap: string,
  name: string,
  { options, wire, around }: OpenOptions = {},
): KafkaUpstream {
  return new KafkaUpstream(kafkaOptions(bootstrap, name, options), {
    clock: systemClock,
    openWire: async () => {
      const opened = await openWire(wireOptions(bootstrap, wire))
      return around === undefined ? opened : wrapWire(opened, around)
    },
  })
}

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

export async function kafkaPlace(bootstrap: string): Promise<UpstreamPlace> {
  const name = uniqueName('sync')
  return {
    open: () => openKafka(bootstrap, name),
    openMortal: () => {
      const { arm, died, around } = mortalRequests()
      return { upstream: openKafka(bootstrap, name, { around }), arm, died }
    },
    async read(streams) {
      await settled(bootstrap, `${name}.${testIdentity().edge}`)
      const all = await Promise.all([...streams.keys()].map((stream) => readBack(bootstrap, name, stream)))
      return all.flat()
    },
    dispose: async () => {},
  }
}
