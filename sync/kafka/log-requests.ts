/** The requests that read a topic's log: where it begins and ends, where an epoch of its leaders ends, and what is in it. */
import type { Library } from './library.ts'
import {
  type BrokerNode,
  type EpochAsked,
  type FetchedBatch,
  type FetchedLog,
  type LogBounds,
  WireAnswerError,
} from './wire.ts'

const EARLIEST = -2n
const LATEST = -1n
const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1
/** Neither a fetch session nor a replica. */
const NONE = -1
const TRANSACTIONAL = 0x10
const CONTROL = 0x20

interface Api<Args extends unknown[], Response> {
  async(connection: never, ...args: Args): Promise<Response>
}

/** Sends one request to one broker, over whatever connection there is. */
export type Ask = <Args extends unknown[], Response>(
  node: BrokerNode,
  api: Api<Args, Response>,
  ...args: Args
) => Promise<Response>

/** Sends a request's body and resolves with its answer's. */
export type Exchange = (
  node: BrokerNode,
  apiKey: number,
  apiVersion: number,
  body: readonly Buffer[],
) => Promise<Buffer>

const EPOCH_API = 23
const EPOCH_VERSION = 4

export class LogRequests {
  readonly #library: Library
  readonly #ask: Ask
  readonly #exchange: Exchange

  constructor(library: Library, ask: Ask, exchange: Exchange) {
    this.#library = library
    this.#ask = ask
    this.#exchange = exchange
  }

  async bounds(node: BrokerNode, topic: string, partition: number): Promise<LogBounds> {
    const [start, stable, end] = await Promise.all([
      this.#listOffset(node, topic, partition, EARLIEST, READ_UNCOMMITTED),
      this.#listOffset(node, topic, partition, LATEST, READ_COMMITTED),
      this.#listOffset(node, topic, partition, LATEST, READ_UNCOMMITTED),
    ])
    return { start, stable, end }
  }

  async epochEnds(node: BrokerNode, asked: readonly EpochAsked[]): Promise<number[]> {
    const { offsetForLeaderEpochV4, Reader } = this.#library
    const topics = [...new Set(asked.map(({ topic }) => topic))].map((name) => {
      const partitions = asked
        .filter(({ topic }) => topic === name)
        .map(({ partition, epoch }) => ({
          partitionIndex: partition,
          currentLeaderEpoch: NONE,
          leaderEpoch: epoch,
        }))
      return { name, partitions }
    })
    const request = offsetForLeaderEpochV4.createRequest(NONE, topics)
    const answer = await this.#exchange(node, EPOCH_API, EPOCH_VERSION, request.buffers)
    const reader = Reader.from(answer)
    reader.readInt32() // throttle time
    const found = reader
      .readArray((r) => {
        const topic = r.readString()
        // The library's own parser takes the partition for the error: it reads the two in the other order.
        return r.readArray((inner) => ({
          topic,
          code: inner.readInt16(),
          partition: inner.readInt32(),
          epoch: inner.readInt32(),
          end: Number(inner.readInt64()),
        }))
      })
      .flat()
    return asked.map(({ topic, partition }) => {
      const one = found.find((other) => other.topic === topic && other.partition === partition)
      this.#check('OffsetForLeaderEpoch', one?.code)
      return one!.end
    })
  }

  async fetch(
    node: BrokerNode,
    topic: string,
    partition: number,
    offset: number,
    bytesMax: number,
  ): Promise<FetchedLog> {
    const fetchPartition = {
      partition,
      currentLeaderEpoch: NONE,
      fetchOffset: BigInt(offset),
      lastFetchedEpoch: NONE,
      partitionMaxBytes: bytesMax,
    }
    // Version 12 names the topic where the library's type says id.
    const topics = [{ topicId: topic, partitions: [fetchPartition] }]
    const { fetchV12 } = this.#library
    const response = await this.#ask(
      node,
      fetchV12.api,
      0,
      0,
      bytesMax,
      READ_COMMITTED,
      0,
      NONE,
      topics,
      [],
      '',
    )
    this.#check('Fetch', response.errorCode)
    const found = response.responses[0]?.partitions[0]
    this.#check('Fetch', found?.errorCode)
    const aborted = (found!.abortedTransactions ?? []).map(({ producerId, firstOffset }) => ({
      producerId,
      firstOffset: Number(firstOffset),
    }))
    return { aborted, batches: (found!.records ?? []).map(toBatch) }
  }

  async #listOffset(
    node: BrokerNode,
    topic: string,
    partition: number,
    timestamp: bigint,
    isolation: number,
  ): Promise<number> {
    const asked = [{ partitionIndex: partition, currentLeaderEpoch: NONE, timestamp }]
    const { listOffsetsV7 } = this.#library
    const topics = [{ name: topic, partitions: asked }]
    const response = await this.#ask(node, listOffsetsV7.api, NONE, isolation, topics)
    const found = response.topics[0]?.partitions[0]
    this.#check('ListOffsets', found?.errorCode)
    return Number(found!.offset)
  }

  #check(during: string, code = -1): void {
    if (code === 0) return
    throw new WireAnswerError(this.#library.protocolErrorsCodesById[code as 0] ?? `error ${code}`, during)
  }
}

type LibraryBatch = NonNullable<
  ReturnType<Library['fetchV12']['parseResponse']>['responses'][0]['partitions'][0]['records']
>[0]

function toBatch(batch: LibraryBatch): FetchedBatch {
  const baseOffset = Number(batch.firstOffset)
  const isControl = (batch.attributes & CONTROL) !== 0
  return {
    lastOffset: baseOffset + batch.lastOffsetDelta,
    bytes: batch.length,
    producerId: batch.producerId,
    isTransactional: (batch.attributes & TRANSACTIONAL) !== 0,
    isControl,
    records: batch.records.map(({ offsetDelta, timestampDelta, key, value, headers }) => ({
      offset: baseOffset + offsetDelta,
      timestamp: Number(batch.firstTimestamp + timestampDelta),
      key,
      value,
      headers: headers as unknown as (readonly [Buffer, Buffer | null])[],
    })),
  }
}
