/**
 * Device to broker: PUBLISH of QoS 0, 1, 2, and PUBREL. An answer leaves when the broker has the message. A PUBLISH that comes again while
 * the first one is under way has its answer with it; one that comes later is the uplink's to recognize (its window outlives a restart), but
 * for the copies without DUP that a network makes.
 */

import { FewEntries } from '../few-entries.ts'
import { type Publish, ReturnCode, shortTopicName, Type } from '../packets/packet.ts'
import type { PublishResult, QoS, UplinkMessage } from '../uplink/uplink.ts'
import { countReason } from './counters.ts'
import type { DevicePort } from './device-port.ts'
import { recordProperties } from './record-properties.ts'
import { answerTime, TIME_REQUEST_ID } from './time-service.ts'
import { isTopicName } from './topic-names.ts'

/** A message of QoS 1 or 2, as the device sent it. */
interface Taken {
  readonly qos: QoS
  /** That the device named. */
  readonly topic: string
  readonly topicId: number
  readonly messageId: number
  readonly isRetained: boolean
  readonly body: Uint8Array
}

const CONGESTED: PublishResult = { kind: 'congested' }

export class Publishing {
  readonly #port: DevicePort
  #inFlight = new FewEntries<number, Taken>()
  #releasing = new Set<number>()
  /** What was answered last, monotonic ms, and how: the broker has it, or it was congested. */
  #answered: Taken | null = null
  #answeredAt = 0
  #wasAccepted = false
  /** Of the time service: what makes the device's ms Unix ms. */
  clockOffsetMs: number | null = null

  constructor(port: DevicePort) {
    this.#port = port
  }

  /** A new connection: message ids begin anew, and what was under way is answered to nobody. */
  reset(): void {
    this.#inFlight = new FewEntries()
    this.#releasing = new Set()
    this.#answered = null
  }

  receive(packet: Publish): void {
    const port = this.#port
    if (packet.isDup && packet.qos > 0) port.counters.retransmissionsSeen++
    if (packet.topicIdType === 'predefined' && packet.topicId === TIME_REQUEST_ID) {
      this.#answerTime(packet)
      return
    }
    const topic = this.#topicOf(packet)
    if (topic === undefined) {
      this.#drop('unknown-topic', packet, ReturnCode.invalidTopicId)
      return
    }
    const isRepeated = packet.qos > 0 && this.#isRepeated(packet, topic)
    if (isRepeated === 'answered') return
    const clientId = port.clientId
    const body = Buffer.from(packet.data)
    const mapped = port.context.bodies.fromDevice(clientId, topic, packet.data)
    if (mapped?.kind === 'refused') {
      this.#drop('body', packet, ReturnCode.notSupported)
      port.context.log.warn('body', `a message of device ${clientId} is refused`, {
        topic,
        reason: mapped.reason,
      })
      return
    }
    const payload = mapped === null || mapped.payload === packet.data ? body : mapped.payload
    const link = port.route?.link.name ?? ''
    const message: UplinkMessage = {
      topic: mapped?.topic ?? topic,
      payload,
      qos: packet.qos > 0 ? (packet.qos as QoS) : 0,
      isRetained: packet.isRetained,
      messageId: packet.messageId,
      isDup: packet.isDup || isRepeated,
      properties: recordProperties(port.context, link, clientId, mapped),
    }
    if (message.qos === 0) this.#sendOnce(message)
    else this.#send(packet, topic, message, body)
  }

  /** PUBREL: the message id of QoS 2 is free again, when that is on disk. */
  release(messageId: number): void {
    const { session, context } = this.#port
    const releasing = this.#releasing
    if (session === null || releasing.has(messageId)) return
    // The device repeats it.
    if (releasing.size >= context.config.publishesInFlightMax) return
    releasing.add(messageId)
    const complete = () => this.#port.send({ type: Type.pubcomp, messageId })
    session.release(messageId).then(
      () => {
        if (releasing === this.#releasing && releasing.delete(messageId)) complete()
      },
      () => releasing.delete(messageId),
    )
  }

  /** @returns `answered`: it has its answer, now or soon; true: the uplink is to look whether it has it */
  #isRepeated(packet: Publish, topic: string): boolean | 'answered' {
    const port = this.#port
    const { config, clock } = port.context
    const before = this.#inFlight.get(packet.messageId)
    if (before !== undefined) {
      if (!packet.isDup) port.counters.retransmissionsSeen++
      // Another message under a number in use: the device breaks the rule, and may come again when the number is free.
      if (!isSame(before, packet, topic)) this.#congest(packet)
      return 'answered'
    }
    const answered = this.#answered
    if (packet.isDup || answered === null || !isSame(answered, packet, topic)) return packet.isDup
    // It was told to come again; what went wrong may have been the broker's answer alone.
    if (!this.#wasAccepted) return true
    if (port.route?.link.kind !== 'udp' || clock.monotonic() - this.#answeredAt > config.duplicateMs)
      return false
    port.counters.retransmissionsSeen++
    this.#accept(answered)
    return 'answered'
  }

  #sendOnce(message: UplinkMessage): void {
    const { session, counters } = this.#port
    const dropped = () => countReason(counters.dropped, 'congested')
    session?.publish(message).then(({ kind }) => {
      if (kind === 'accepted') counters.published++
      else dropped()
    }, dropped)
  }

  #send(packet: Publish, topic: string, message: UplinkMessage, body: Uint8Array): void {
    const { session, context } = this.#port
    if (session === null || this.#inFlight.size >= context.config.publishesInFlightMax) {
      this.#congest(packet)
      return
    }
    const { qos, messageId, isRetained } = message
    const taken: Taken = { qos, topic, topicId: packet.topicId, messageId, isRetained, body }
    const inFlight = this.#inFlight
    inFlight.set(messageId, taken)
    session.publish(message).then(
      (result) => this.#settle(inFlight, taken, result),
      () => this.#settle(inFlight, taken, CONGESTED),
    )
  }

  #settle(inFlight: FewEntries<number, Taken>, taken: Taken, result: PublishResult): void {
    const port = this.#port
    inFlight.delete(taken.messageId)
    if (result.kind === 'accepted') port.counters.published++
    // The device has connected anew meanwhile: the number may be another message's.
    if (inFlight !== this.#inFlight) return
    switch (result.kind) {
      case 'accepted':
      case 'repeated':
        this.#keepAnswered(taken, true)
        this.#accept(taken)
        return
      case 'congested':
        this.#keepAnswered(taken, false)
        this.#congest(taken)
        return
      case 'refused':
        this.#drop('refused', taken, ReturnCode.notSupported)
        port.context.log.warn('refused', `a message of device ${port.clientId} is refused`, {
          topic: taken.topic,
          reason: result.reason,
        })
    }
  }

  #keepAnswered(taken: Taken, isAccepted: boolean): void {
    this.#answered = taken
    this.#answeredAt = this.#port.context.clock.monotonic()
    this.#wasAccepted = isAccepted
  }

  #accept({ qos, topicId, messageId }: Taken): void {
    if (qos === 2) this.#port.send({ type: Type.pubrec, messageId })
    else this.#port.puback(topicId, messageId, ReturnCode.accepted)
  }

  #congest({ topicId, messageId }: Pick<Publish, 'topicId' | 'messageId'>): void {
    this.#port.counters.congested++
    this.#port.puback(topicId, messageId, ReturnCode.congestion)
  }

  #drop(
    reason: string,
    { topicId, messageId }: Pick<Publish, 'topicId' | 'messageId'>,
    returnCode: ReturnCode,
  ): void {
    countReason(this.#port.counters.dropped, reason)
    this.#port.puback(topicId, messageId, returnCode)
  }

  #topicOf({ topicIdType, topicId }: Publish): string | undefined {
    const { topics, context, clientId } = this.#port
    if (topicIdType === 'normal') return topics.name(topicId)
    if (topicIdType === 'predefined') {
      const topic = context.predefined.topic(topicId, clientId)
      if (topic !== undefined) topics.usePredefined(topicId, topic)
      return topic
    }
    const name = shortTopicName(topicId)
    return isTopicName(name) ? name : undefined
  }

  #answerTime(packet: Publish): void {
    const { context } = this.#port
    const answer = answerTime(packet.data, context.clock, context.isClockTrusted())
    if (answer === null || packet.qos === 2) {
      this.#drop('time', packet, ReturnCode.notSupported)
      return
    }
    this.clockOffsetMs = answer.clockOffsetMs
    this.#port.send(answer.packet)
    if (packet.qos === 1) this.#port.puback(packet.topicId, packet.messageId, ReturnCode.accepted)
  }
}

function isSame(taken: Taken, packet: Publish, topic: string): boolean {
  return (
    taken.messageId === packet.messageId &&
    taken.topic === topic &&
    taken.qos === packet.qos &&
    taken.isRetained === packet.isRetained &&
    Buffer.compare(taken.body, packet.data) === 0
  )
}
