/** Batches in topics that the upstream would not write: any codec, transactions that are aborted or left open, records by hand. */
import { type CompressionAlgorithmValue, createRecordsBatch } from '@platformatic/kafka'
import { openWire } from '../../../sync/kafka/platformatic-wire.ts'
import type { BrokerNode, KafkaWire, Producer } from '../../../sync/kafka/wire.ts'
import { wireOptions } from './open-kafka.ts'

export interface HandRecord {
  readonly key?: string | null
  readonly value: string | Buffer
  readonly timestamp?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Writes to topics as `id`. */
export class HandProducer {
  readonly #wire: KafkaWire
  readonly #coordinator: BrokerNode
  readonly #producer: Producer
  readonly #sequences = new Map<string, number>()

  private constructor(wire: KafkaWire, coordinator: BrokerNode, producer: Producer) {
    this.#wire = wire
    this.#coordinator = coordinator
    this.#producer = producer
  }

  static async open(bootstrap: string, id: string): Promise<HandProducer> {
    const wire = await openWire(wireOptions(bootstrap))
    const coordinator = await retried(() => wire.findCoordinator('transaction', id))
    const producer = await retried(() => wire.initProducerId(coordinator, id, 60_000))
    return new HandProducer(wire, coordinator, producer)
  }

  /** One batch in the transaction that is under way, or that begins with it. */
  async write(
    topic: string,
    partition: number,
    records: readonly HandRecord[],
    compression: CompressionAlgorithmValue = 'none',
  ): Promise<void> {
    const producer = this.#producer
    await retried(() =>
      this.#wire.addPartitionsToTxn(this.#coordinator, producer, new Map([[topic, [partition]]])),
    )
    const cluster = await this.#wire.metadata([topic])
    const found = cluster.topics.get(topic)!.partitions.find((each) => each.partition === partition)!
    const key = `${topic}:${partition}`
    const messages = records.map((record) => ({
      topic,
      partition,
      key: record.key == null ? undefined : Buffer.from(record.key),
      value: Buffer.from(record.value),
      timestamp: BigInt(record.timestamp ?? 1_700_000_000_000),
      headers: new Map(
        Object.entries(record.headers ?? {}).map(([name, value]) => [Buffer.from(name), Buffer.from(value)]),
      ),
    }))
    const sequences = Object.assign(new Map(), { getWithDefault: () => this.#sequences.get(key) ?? 0 })
    const batch = createRecordsBatch(messages as never, {
      compression,
      transactionalId: producer.transactionalId,
      producerId: producer.producerId,
      producerEpoch: producer.epoch,
      sequences: sequences as never,
    })
    this.#sequences.set(key, (this.#sequences.get(key) ?? 0) + records.length)
    await retried(async () => {
      const part = { topic, partition, bytes: batch.buffer }
      const [answer] = await this.#wire.produce(cluster.nodes.get(found.leader)!, producer, [part], 10_000)
      if (answer?.answer !== 'NONE') throw new Error(`${answer?.answer}: ${answer?.message}`)
    })
  }

  /** Its transactional id. */
  get id(): string {
    return this.#producer.transactionalId
  }

  async end(commit: boolean): Promise<void> {
    await retried(() => this.#wire.endTxn(this.#coordinator, this.#producer, commit))
  }

  close(): void {
    this.#wire.close()
  }
}

/** The coordinator may be starting, or finishing the last transaction. */
async function retried<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (tries > 500 || !/COORDINATOR|CONCURRENT|NOT_ENOUGH|LEADER/.test(String(error))) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
