/** Why a connection ends, as the client is told. MQTT 5, section 3.14.2.1. */
import {
  CommitFailedError,
  HeadwaterError,
  LogFullError,
  LogUnavailableError,
  RecordTooLargeError,
} from '../../errors.ts'
import { MqttProtocolError, Reason, type ReasonCode } from '../packets/protocol-error.ts'
import { RefusedMessageError } from './incoming.ts'

export function closingReason(error: Error): ReasonCode {
  if (error instanceof MqttProtocolError || error instanceof RefusedMessageError) return error.reasonCode
  if (error instanceof RecordTooLargeError) return Reason.packetTooLarge
  if (error instanceof LogFullError) return Reason.quotaExceeded
  // what was not acknowledged is sent again once the client is back
  if (error instanceof CommitFailedError || error instanceof LogUnavailableError) return Reason.serverBusy
  return Reason.unspecified
}

/** Log lines of one kind are limited together: a kind has nothing in it that a client chooses. */
export function kindOf(error: Error): string {
  if (error instanceof HeadwaterError) return error.code
  if (error instanceof MqttProtocolError) return error.clause
  if (error instanceof RefusedMessageError) return `refused ${error.reasonCode}`
  return error.message
}

/** Neither the client's fault nor an operating error: its stack is wanted. */
export function isOwnFault(error: Error): boolean {
  return !(
    error instanceof MqttProtocolError ||
    error instanceof RefusedMessageError ||
    error instanceof HeadwaterError
  )
}
