/** The requests that a transaction is made of: who coordinates it, whose it is, and its begin and end. */
import type { Requests } from './requests.ts'
import {
  type BrokerNode,
  type KafkaWire,
  type Producer,
  type TopicPartitions,
  type TransactionInfo,
  WireAnswerError,
  type WriterIdentity,
} from './wire.ts'

const NO_TRANSACTION_MS = 2 ** 31 - 1
const KEY_TYPE = { group: 0, transaction: 1 } as const

export type TransactionWire = Pick<
  KafkaWire,
  | 'findCoordinator'
  | 'initProducerId'
  | 'newProducerId'
  | 'describeTransaction'
  | 'addPartitionsToTxn'
  | 'addOffsetsToTxn'
  | 'endTxn'
>

export class TransactionRequests implements TransactionWire {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  async findCoordinator(kind: 'group' | 'transaction', key: string): Promise<BrokerNode> {
    const { findCoordinatorV4 } = this.#requests.codecs
    const response = await this.#requests.askAny(findCoordinatorV4.api, KEY_TYPE[kind], [key])
    const [found] = response.coordinators
    if (found === undefined) throw new WireAnswerError('COORDINATOR_NOT_AVAILABLE', 'FindCoordinator')
    this.#requests.check('FindCoordinator', found.errorCode)
    return { id: found.nodeId, host: found.host, port: found.port }
  }

  async initProducerId(node: BrokerNode, transactionalId: string, timeoutMs: number): Promise<Producer> {
    const { initProducerIdV4 } = this.#requests.codecs
    // -1, -1: "whoever I was before". The library's own producer says 0, 0, which Kafka takes for producer 0.
    const response = await this.#requests.ask(node, initProducerIdV4.api, transactionalId, timeoutMs, -1n, -1)
    this.#requests.check('InitProducerId', response.errorCode)
    return { transactionalId, producerId: response.producerId, epoch: response.producerEpoch }
  }

  async newProducerId(node: BrokerNode): Promise<WriterIdentity> {
    const { initProducerIdV4 } = this.#requests.codecs
    // The timeout is that of transactions, which it does not begin.
    const response = await this.#requests.ask(node, initProducerIdV4.api, null, NO_TRANSACTION_MS, -1n, -1)
    this.#requests.check('InitProducerId', response.errorCode)
    return { transactionalId: null, producerId: response.producerId, epoch: response.producerEpoch }
  }

  async describeTransaction(node: BrokerNode, transactionalId: string): Promise<TransactionInfo> {
    const { describeTransactionsV0 } = this.#requests.codecs
    const response = await this.#requests.ask(node, describeTransactionsV0.api, [transactionalId])
    const [found] = response.transactionStates
    if (found === undefined) throw new WireAnswerError('TRANSACTIONAL_ID_NOT_FOUND', 'DescribeTransactions')
    this.#requests.check('DescribeTransactions', found.errorCode)
    return { state: found.transactionState, producerId: found.producerId, epoch: found.producerEpoch }
  }

  async addPartitionsToTxn(node: BrokerNode, producer: Producer, partitions: TopicPartitions): Promise<void> {
    const topics = [...partitions].map(([name, indexes]) => ({ name, partitions: [...indexes] }))
    const { transactionalId, producerId, epoch } = producer
    const transaction = { transactionalId, producerId, producerEpoch: epoch, verifyOnly: false, topics }
    const { addPartitionsToTxnV3 } = this.#requests.codecs
    const response = await this.#requests.ask(node, addPartitionsToTxnV3.api, [transaction])
    const results = response.resultsByTransaction.flatMap(({ topicResults }) => topicResults)
    this.#requests.checkTopics(
      'AddPartitionsToTxn',
      results.map(({ name, resultsByPartition }) => {
        return { name, codes: resultsByPartition.map((result) => result.partitionErrorCode) }
      }),
    )
  }

  async addOffsetsToTxn(node: BrokerNode, producer: Producer, group: string): Promise<void> {
    const { transactionalId, producerId, epoch } = producer
    const { addOffsetsToTxnV3 } = this.#requests.codecs
    const response = await this.#requests.ask(
      node,
      addOffsetsToTxnV3.api,
      transactionalId,
      producerId,
      epoch,
      group,
    )
    this.#requests.check('AddOffsetsToTxn', response.errorCode)
  }

  async endTxn(node: BrokerNode, producer: Producer, commit: boolean): Promise<void> {
    const { transactionalId, producerId, epoch } = producer
    const response = await this.#requests.ask(
      node,
      this.#requests.codecs.endTxnV3.api,
      transactionalId,
      producerId,
      epoch,
      commit,
    )
    this.#requests.check('EndTxn', response.errorCode)
  }
}
