/**
 * KafkaWire on the low-level exports of @platformatic/kafka, which is loaded when the first wire is opened: an edge
 * without Kafka does not pay for it. Its Producer is not used: KAFKA.md lists why (PID 0 instead of -1, brokers-only
 * AddPartitionsToTxn v4, sequences in memory without wrap).
 */

import { type Clock, systemClock } from '../clock.ts'
import type { RenewalListener } from '../renewal-log.ts'
import { Connections } from './connections.ts'
import { type Credentials, noCredentials } from './credentials.ts'
import { type Library, loadLibrary } from './library.ts'
import { LinkMeter } from './link-meter.ts'
import { LogRequests } from './log-requests.ts'
import { OffsetRequests } from './offset-requests.ts'
import { ProduceRequests } from './produce-requests.ts'
import { Requests } from './requests.ts'
import { TopicRequests } from './topic-requests.ts'
import { TransactionRequests } from './transaction-requests.ts'
import type { KafkaWire } from './wire.ts'

export interface WireOptions extends Partial<RenewalListener> {
  readonly clientId: string
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[]
  /** For a connection to stand, and for an answer to come. */
  readonly connectMs: number
  readonly requestMs: number
  /** TLS and login; none by default. */
  readonly credentials?: Credentials
  readonly clock?: Clock
  /** Told of each connection that is used. */
  readonly meter?: LinkMeter
}

/** Kafka keeps the last five batches of a producer: with more in flight a retry could not be recognised. */
const IN_FLIGHT_MAX = 5

export async function openWire(options: WireOptions): Promise<KafkaWire> {
  const library = await loadLibrary()
  const connections = openConnections(library, options)
  const { bootstrap, requestMs } = options
  const requests = new Requests(library, connections, bootstrap)
  const topics = new TopicRequests(requests, requestMs)
  const log = new LogRequests(requests)
  const offsets = new OffsetRequests(requests)
  const transactions = new TransactionRequests(requests)
  const produce = new ProduceRequests(requests)
  return {
    get lostConnections() {
      return connections.lost
    },
    metadata: (...asked) => topics.metadata(...asked),
    createTopics: (...asked) => topics.createTopics(...asked),
    listOffsets: (...asked) => log.listOffsets(...asked),
    bounds: (...asked) => log.bounds(...asked),
    askLeader: (...asked) => log.askLeader(...asked),
    epochEnds: (...asked) => log.epochEnds(...asked),
    fetch: (...asked) => log.fetch(...asked),
    offsetFetch: (...asked) => offsets.offsetFetch(...asked),
    txnOffsetCommit: (...asked) => offsets.txnOffsetCommit(...asked),
    offsetCommit: (...asked) => offsets.offsetCommit(...asked),
    findCoordinator: (...asked) => transactions.findCoordinator(...asked),
    initProducerId: (...asked) => transactions.initProducerId(...asked),
    newProducerId: (...asked) => transactions.newProducerId(...asked),
    describeTransaction: (...asked) => transactions.describeTransaction(...asked),
    addPartitionsToTxn: (...asked) => transactions.addPartitionsToTxn(...asked),
    addOffsetsToTxn: (...asked) => transactions.addOffsetsToTxn(...asked),
    endTxn: (...asked) => transactions.endTxn(...asked),
    produce: (...asked) => produce.produce(...asked),
    close: () => connections.close(),
  }
}

function openConnections(library: Library, options: WireOptions): Connections {
  const { clientId, clock = systemClock, credentials = noCredentials(clock) } = options
  return new Connections(library.Connection, {
    clientId,
    connection: {
      connectTimeout: options.connectMs,
      requestTimeout: options.requestMs,
      maxInflights: IN_FLIGHT_MAX,
    },
    configured: new Set(options.bootstrap.map(({ host, port }) => `${host}:${port}`)),
    credentials,
    clock,
    onRenewFailed: options.onRenewFailed ?? (() => {}),
    onRenewed: options.onRenewed ?? (() => {}),
    meter: options.meter ?? new LinkMeter(),
  })
}
