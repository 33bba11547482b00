/** Produce, whose batches are bytes already and go uncopied (frames.ts). */
import type { Library } from './library.ts'
import type { Requests } from './requests.ts'
import type { BrokerNode, KafkaWire, ProduceAnswer, ProducePart, WriterIdentity } from './wire.ts'

const PRODUCE_API = 0
const PRODUCE_VERSION = 9
const ACKS_ALL = -1

type ProduceResponse = ReturnType<Library['produceV9']['parseResponse']>

export class ProduceRequests implements Pick<KafkaWire, 'produce'> {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  async produce(
    node: BrokerNode,
    writer: WriterIdentity,
    parts: readonly ProducePart[],
    timeoutMs: number,
  ): Promise<ProduceAnswer[]> {
    const byTopic = new Map<string, ProducePart[]>()
    for (const part of parts) byTopic.set(part.topic, [...(byTopic.get(part.topic) ?? []), part])
    const body = this.#requests.codecs.Writer.create()
      .appendString(writer.transactionalId)
      .appendInt16(ACKS_ALL)
      .appendInt32(timeoutMs)
      .appendArray([...byTopic], (writer, [topic, items]) => {
        writer.appendString(topic).appendArray(items, (inner, part) => {
          inner.appendInt32(part.partition).appendBytes(part.bytes)
        })
      })
      .appendTaggedFields()
    const response = await this.#send(node, body.buffers)
    return response.responses.flatMap((topic) =>
      topic.partitionResponses.map((partition) => ({
        topic: topic.name,
        partition: partition.index,
        answer: this.#requests.name(partition.errorCode),
        message: partition.recordErrors[0]?.batchIndexErrorMessage ?? partition.errorMessage ?? null,
        baseOffset: Number(partition.baseOffset),
      })),
    )
  }

  #send(node: BrokerNode, pieces: readonly Buffer[]): Promise<ProduceResponse> {
    const { Reader, produceV9 } = this.#requests.codecs
    return this.#requests.exchange(node, PRODUCE_API, PRODUCE_VERSION, pieces, (answer) => {
      try {
        return produceV9.parseResponse(0, PRODUCE_API, PRODUCE_VERSION, Reader.from(answer))
      } catch (error) {
        // The library throws when any part of an answer is an error; the answer says which.
        const { response } = error as { response?: ProduceResponse }
        if (response !== undefined) return response
        throw error
      }
    })
  }
}
