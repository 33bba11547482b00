/** Commands on a real Kafka, written by another client than ours, and an MQTT client that takes them. */
import { Value } from '@sinclair/typebox/value'
import { type Admin, Kafka, logLevel, type Message, type Producer } from 'kafkajs'
import { connectAsync, type MqttClient } from 'mqtt'
import { type DownlinkConfig, DownlinkSchema } from '../../../sync/config.ts'

export interface Command {
  readonly key: string
  readonly value: string
  readonly partition?: number
  readonly headers?: Record<string, string>
  /** ms since 1970 */
  readonly timestamp?: number
}

export class CommandTopic {
  readonly #kafka: Kafka
  readonly #producer: Producer
  readonly admin: Admin
  readonly topic: string

  private constructor(bootstrap: string, topic: string) {
    this.#kafka = new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })
    this.#producer = this.#kafka.producer()
    this.admin = this.#kafka.admin()
    this.topic = topic
  }

  static async open(bootstrap: string, topic: string): Promise<CommandTopic> {
    const opened = new CommandTopic(bootstrap, topic)
    await Promise.all([opened.#producer.connect(), opened.admin.connect()])
    return opened
  }

  async send(commands: readonly Command[]): Promise<void> {
    await this.#producer.send({ topic: this.topic, messages: commands.map(messageOf), acks: -1 })
  }

  /** Sends them in a transaction that comes to nothing. */
  async sendInVain(commands: readonly Command[]): Promise<void> {
    const id = `${this.topic}-vain`
    const producer = this.#kafka.producer({ transactionalId: id, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic: this.topic, messages: commands.map(messageOf) })
    await transaction.abort()
    await producer.disconnect()
  }

  /** As retention does: what is below the offset is gone. */
  async removeBelow(partition: number, offset: number): Promise<void> {
    // makes kafkajs look up who leads the topic, without which the next request fails
    await this.admin.fetchTopicOffsets(this.topic)
    await this.admin.deleteTopicRecords({
      topic: this.topic,
      partitions: [{ partition, offset: String(offset) }],
    })
  }

  async close(): Promise<void> {
    await Promise.all([this.#producer.disconnect(), this.admin.disconnect()])
  }
}

function messageOf({ key, value, partition, headers, timestamp }: Command): Message {
  const message: Message = { key, value }
  if (partition !== undefined) message.partition = partition
  if (headers !== undefined) message.headers = headers
  if (timestamp !== undefined) message.timestamp = String(timestamp)
  return message
}

export function downlinkConfig(
  bootstrap: string,
  topic: string,
  changes: Partial<DownlinkConfig> = {},
): DownlinkConfig {
  const given = {
    name: 'commands',
    graceSeconds: 0,
    connection: { bootstrap: bootstrap.split(',') },
    topic,
    ...changes,
  }
  return Value.Default(DownlinkSchema, Value.Clone(given)) as DownlinkConfig
}

/** Takes commands with QoS 1, comes back when its connection ends, and keeps what it got, in order. */
export class Receiver {
  readonly #client: MqttClient
  readonly received: { topic: string; payload: string }[] = []

  private constructor(client: MqttClient) {
    this.#client = client
    client.on('message', (topic, payload) => this.received.push({ topic, payload: String(payload) }))
    client.on('error', () => {})
  }

  static async connect(port: number, filter: string): Promise<Receiver> {
    const options = { clientId: `receiver-${port}`, clean: true, reconnectPeriod: 20 }
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, options)
    const receiver = new Receiver(client)
    await client.subscribeAsync(filter, { qos: 1 })
    return receiver
  }

  /** In the order of their first arrival, for each topic. */
  byTopic(): Map<string, string[]> {
    const topics = new Map<string, string[]>()
    for (const { topic, payload } of this.received) {
      const payloads = topics.get(topic) ?? []
      topics.set(topic, payloads)
      if (!payloads.includes(payload)) payloads.push(payload)
    }
    return topics
  }

  async close(): Promise<void> {
    await this.#client.endAsync(true)
  }
}
