/** From what the wire throws to what an operator reads: one clear line, and what to do. */
import { HeadwaterError } from '../../broker/index.ts'
import {
  UpstreamAnswerError,
  UpstreamAuthError,
  type UpstreamError,
  UpstreamTimeoutError,
  UpstreamTlsError,
  UpstreamUnreachableError,
} from '../errors.ts'
import { WireAnswerError, WireConnectionError } from './wire.ts'

/** Another producer with the same transactional id has been initialised, or the coordinator gave up on this one. */
export const FENCED_ANSWERS: ReadonlySet<string> = new Set([
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_EPOCH',
  'TRANSACTION_COORDINATOR_FENCED',
])

/** The leader moved, is new, or could not check the transaction just then: it passes in moments. */
export const MOVED_ANSWERS: ReadonlySet<string> = new Set([
  'NOT_LEADER_OR_FOLLOWER',
  'LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'NOT_ENOUGH_REPLICAS',
])

const HINTS: Readonly<Record<string, string>> = {
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'allow this user Write and Describe on its transactional id (ACL)',
  GROUP_AUTHORIZATION_FAILED: 'allow this user Read on its group (ACL)',
  TOPIC_AUTHORIZATION_FAILED: 'allow this user Write, Describe and Read on the topic (ACL)',
  CLUSTER_AUTHORIZATION_FAILED: 'allow this user what the request needs on the cluster (ACL)',
  UNSUPPORTED_VERSION: 'Headwater needs Kafka 3.0 or newer',
  NOT_ENOUGH_REPLICAS: 'fewer replicas are in sync than min.insync.replicas asks for; sync waits for them',
  NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    'fewer replicas are in sync than min.insync.replicas asks for; sync waits for them',
  INVALID_TRANSACTION_TIMEOUT: "set transactionTimeoutMs to at most the cluster's transaction.max.timeout.ms",
  OFFSET_METADATA_TOO_LARGE: "set the cluster's offset.metadata.max.bytes to its default of 4096 or more",
}

export function answerError(answer: string, during: string, cause?: unknown): UpstreamError {
  return new UpstreamAnswerError(answer, during, HINTS[answer] ?? 'sync tries again by itself', cause)
}

function connectionError(error: WireConnectionError, bootstrap: string): UpstreamError {
  const { fault, address, advertised, message, cause } = error
  const place = advertised ? `${address} (named by the cluster at ${bootstrap})` : address
  const hint = advertised
    ? "the cluster's advertised.listeners must be an address that this device reaches"
    : 'check bootstrap in the configuration, and the network; sync tries again by itself'
  if (error.explained !== null) return error.explained(place)
  switch (fault) {
    case 'auth':
      return new UpstreamAuthError(place, message, cause)
    case 'tls':
      return new UpstreamTlsError(place, message, cause)
    case 'timeout':
      return new UpstreamTimeoutError(`Kafka at ${place}: ${message}`, cause)
    case 'protocol':
      return new UpstreamUnreachableError(
        `Kafka at ${place}: ${message}`,
        'check the port: a Kafka listener',
        cause,
      )
    case 'broken':
      return new UpstreamUnreachableError(
        `Kafka at ${place}: ${message}`,
        'if it never works, check that the listener and this upstream agree on tls and sasl; sync tries again by itself',
        cause,
      )
    case 'refused':
    case 'name':
    case 'route':
      return new UpstreamUnreachableError(`Kafka at ${place}: ${message}`, hint, cause)
  }
}

export function toUpstreamError(error: unknown, bootstrap: string): unknown {
  if (error instanceof HeadwaterError) return error
  if (error instanceof WireConnectionError) return connectionError(error, bootstrap)
  if (error instanceof WireAnswerError) return answerError(error.answer, error.message, error)
  return error
}
