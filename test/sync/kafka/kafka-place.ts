/** A place for the contract suite on a real cluster, with names of its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openWire } from '../../../sync/kafka/platformatic-wire.ts'
import { type WireAnswerError, WireConnectionError } from '../../../sync/kafka/wire.ts'
import { readTopic, uniqueName } from '../../support/kafka/index.ts'
import { testIdentity } from '../memory-log.ts'
import type { ReadBack, UpstreamPlace } from '../upstream-contract.ts'
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
