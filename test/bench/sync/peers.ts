/**
 * Producers of other libraries, favoured where there is a choice: the records come from memory and not from a log, the
 * partition is given, no headers are added, and the batches are those that were fastest in trials.
 */
import { createRequire } from 'node:module'
import { moment } from '../process-usage.ts'
import { Backlog } from './backlog.ts'
import { type PeerJob, type PeerName, resultOf, type SyncResult } from './job.ts'

interface Peer {
  readonly packageName: string
  /** Records a request. */
  readonly batch: number
  /** Requests at a time; the idempotent modes keep their sequences right with one. */
  readonly inFlight: number
  /** Loads the library, which is not measured. @returns how to connect */
  load(): Promise<(job: PeerJob) => Promise<Connected>>
}

interface Connected {
  send(backlog: Backlog, records: number): Promise<unknown>
  close(): Promise<void>
}

export const PEERS: Readonly<Record<PeerName, Peer>> = {
  platformatic: { ...platformatic(false), batch: 1000, inFlight: 4 },
  'platformatic idempotent': { ...platformatic(true), batch: 2000, inFlight: 1 },
  kafkajs: { ...kafkajs(false), batch: 1000, inFlight: 4 },
  'kafkajs idempotent': { ...kafkajs(true), batch: 2000, inFlight: 1 },
}

export function isInstalled(peer: PeerName): boolean {
  try {
    createRequire(import.meta.url).resolve(PEERS[peer].packageName)
    return true
  } catch {
    return false
  }
}

export async function produce(job: PeerJob): Promise<SyncResult> {
  const { batch, inFlight, load } = PEERS[job.peer]
  const connect = await load()
  const backlog = new Backlog()
  const start = moment()
  const producer = await connect(job)
  let sent = 0
  const lane = async () => {
    while (sent < job.records) {
      const records = Math.min(batch, job.records - sent)
      sent += records
      await producer.send(backlog, records)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  const result = resultOf(start, sent)
  await producer.close()
  return result
}

function platformatic(idempotent: boolean): Pick<Peer, 'packageName' | 'load'> {
  return {
    packageName: '@platformatic/kafka',
    async load() {
      const { Producer, ProduceAcks } = await import('@platformatic/kafka')
      return async ({ bootstrap, topic }) => {
        const acks = ProduceAcks.ALL
        const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [bootstrap], acks, idempotent })
        const message = (backlog: Backlog) => ({ topic, ...backlog.next() })
        return {
          send: (backlog, records) =>
            producer.send({ acks, messages: Array.from({ length: records }, () => message(backlog)) }),
          close: () => producer.close(),
        }
      }
    },
  }
}

function kafkajs(idempotent: boolean): Pick<Peer, 'packageName' | 'load'> {
  return {
    packageName: 'kafkajs',
    async load() {
      const { Kafka, logLevel, Partitioners } = (await import('kafkajs')).default
      const createPartitioner = Partitioners.DefaultPartitioner
      const inOrder = idempotent ? { idempotent, maxInFlightRequests: 1 } : {}
      return async ({ bootstrap, topic }) => {
        const kafka = new Kafka({ clientId: 'bench', brokers: [bootstrap], logLevel: logLevel.ERROR })
        const producer = kafka.producer({ createPartitioner, ...inOrder })
        await producer.connect()
        return {
          send: (backlog, records) =>
            producer.send({
              topic,
              acks: -1,
              messages: Array.from({ length: records }, () => backlog.next()),
            }),
          close: () => producer.disconnect(),
        }
      }
    },
  }
}
