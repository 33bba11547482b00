/** What a topic refuses in the middle of a round, as what it is: about that topic's stream, while the others may go on. */
import {
  TimestampRefusedError,
  TopicNotAllowedError,
  type UpstreamError,
  UpstreamRecordTooLargeError,
} from '../errors.ts'
import { answerError } from './answers.ts'
import { BatchRefused, BatchTooLarge } from './produce.ts'
import type { Session } from './session.ts'
import { WireAnswerError } from './wire.ts'

/**
 * Answers that tell of one topic. Those about the producer, the group or the transaction are not among them, nor are those after which
 * `recover` has to look first: the topic is another one now, or has lost records.
 */
const OF_TOPIC: ReadonlySet<string> = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'INVALID_TOPIC_EXCEPTION',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
])

/** @returns the error for people, with its stream where it is about one; other errors as they are */
export function explainRefused(error: unknown, { routes }: Pick<Session, 'routes'>): unknown {
  if (error instanceof BatchTooLarge) {
    const { firstPart, firstOffset, bytes, work } = error.batch
    const { stream, partition } = firstPart
    const { topic } = work.lane
    return new UpstreamRecordTooLargeError(stream, partition, firstOffset, bytes.length, topic).of(stream)
  }
  if (error instanceof BatchRefused) return refusedBatch(error).of(error.lane.stream)
  if (!(error instanceof WireAnswerError) || !OF_TOPIC.has(error.answer)) return error
  const route = [...routes.values()].find(({ topic }) => topic === error.topic)
  if (route === undefined) return error
  return refusedTopic(route.topic, error).of(route.stream)
}

function refusedBatch({ lane: { topic }, answer, message }: BatchRefused): UpstreamError {
  if (answer === 'INVALID_TIMESTAMP') return new TimestampRefusedError(topic, message)
  if (answer === 'TOPIC_AUTHORIZATION_FAILED') return notAllowed(topic, 'Write', 'write')
  const hint =
    'a topic with cleanup.policy=compact takes only records with a key; change the topic or the route'
  return new TopicNotAllowedError(topic, `it refuses a record: ${message}`, hint)
}

function refusedTopic(topic: string, error: WireAnswerError): UpstreamError {
  const { answer, during, message } = error
  if (answer !== 'TOPIC_AUTHORIZATION_FAILED') return answerError(answer, message, error)
  // A position is kept beside the topic, and Kafka asks for Read there.
  if (during === 'TxnOffsetCommit' || during === 'OffsetCommit')
    return notAllowed(topic, 'Read', 'keep a position of')
  return notAllowed(topic, 'Write', 'write')
}

function notAllowed(topic: string, operation: string, what: string): UpstreamError {
  const hint = `allow it: kafka-acls.sh --add --operation ${operation} --topic ${topic} --allow-principal User:NAME`
  return new TopicNotAllowedError(topic, `this user may not ${what} it`, hint)
}
