/**
 * The door for messages that do not come from an MQTT client, such as a downlink's: each becomes a record where a stream takes its
 * topic, exactly once by its place in its source (source-positions.ts), and then goes to the subscribers with QoS 1.
 *
 * Several are under way at once, so that one fsync serves many. They are admitted one after the other, and none after one that was
 * not: a source's place in the log means that all before it are there.
 */
import { RecordTooLargeError } from '../errors.ts'
import { encodeHeaders, type RecordHeader } from '../log/record-batch.ts'
import type { MqttFront } from './front.ts'
import type { Place } from './hub/message.ts'
import type { Ingress, IngressCallback } from './ingress.ts'
import type { Delivery } from './own-messages.ts'
import { messageHeaders, propertiesOf } from './record-headers.ts'
import type { MessageSource } from './source-positions.ts'

export interface LocalMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly isRetained: boolean
  readonly source: MessageSource
  /** For its record, where it becomes one. */
  readonly headers: readonly RecordHeader[]
}

export interface Published {
  /** So many from the front are done: durable where a stream takes them, and acknowledged by the subscribers there were. */
  readonly count: number
  /** Which of them were passed over: larger than the log takes. */
  readonly tooLarge: readonly number[]
  /** Subscribers that did not acknowledge in time. */
  readonly unacknowledged: number
  /** Why the next one is not done. */
  readonly error: Error | null
}

/** Where it stands, or why it does not. */
type Stored = Promise<{ readonly error: Error | null; readonly place: Place | null }>

export class LocalPublisher {
  readonly #ingress: Ingress
  readonly #front: MqttFront

  constructor(ingress: Ingress, front: MqttFront) {
    this.#ingress = ingress
    this.#front = front
  }

  /** Whether somebody takes this topic now. */
  hasSubscriber(topic: string): Promise<boolean> {
    return this.#front.hasSubscriber(topic)
  }

  /** @param messages in the order of their source, at most a few hundred: all of them are held until the last is done */
  async publish(messages: readonly LocalMessage[]): Promise<Published> {
    const stored = await this.#store(messages)
    const acknowledgements: Promise<boolean>[] = []
    const tooLarge: number[] = []
    let error: Error | null = null
    let count = 0
    for (const answer of stored) {
      const { error: failure, place } = await answer
      if (failure instanceof RecordTooLargeError) tooLarge.push(count)
      else if (failure === null) {
        const delivery = await this.#pass(messages[count], place).catch((thrown) => thrown as Error)
        if (delivery instanceof Error) error = delivery
        else acknowledgements.push(delivery.acknowledged)
      } else error = failure
      if (error !== null) break
      count++
    }
    const inTime = await Promise.all(acknowledgements)
    return { count, tooLarge, unacknowledged: inTime.filter((isInTime) => !isInTime).length, error }
  }

  #pass({ topic, payload, isRetained, headers }: LocalMessage, place: Place | null): Promise<Delivery> {
    return this.#front.publish({ topic, payload, isRetained, properties: propertiesOf(headers), place })
  }

  /** @returns an answer for each message up to the first that was refused */
  async #store(messages: readonly LocalMessage[]): Promise<Stored[]> {
    const stored: Stored[] = []
    let hasFailed = false
    for (const message of messages) {
      if (hasFailed) break
      await new Promise<void>((onAdmitted) => {
        const answer: Stored = new Promise((resolve) => {
          this.#accept(message, onAdmitted, (error, place) => {
            hasFailed ||= error !== null && !(error instanceof RecordTooLargeError)
            onAdmitted()
            resolve({ error, place })
          })
        })
        stored.push(answer)
      })
    }
    return stored
  }

  #accept(message: LocalMessage, onAdmitted: () => void, done: IngressCallback): void {
    const { topic, payload, source, isRetained } = message
    const headers = messageHeaders(isRetained, 1, null)
    const origin = { source, headers: encodeHeaders(message.headers), onAdmitted }
    this.#ingress.accept(
      { clientId: null, topic, payload, qos: 1, packetId: 0, isDup: false, headers, origin },
      done,
    )
  }
}
