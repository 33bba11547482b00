/** What is the matter with JetStream, or with a stream of it. */
import { UpstreamError } from '../upstream-errors.ts'

/** JetStream is off on this server, for this account, or in this domain. */
export class JetStreamOffError extends UpstreamError {
  constructor(address: string, reason: string, cause?: unknown) {
    super('HW_JETSTREAM_OFF', `NATS at ${address} has no JetStream here: ${reason}`, {
      hint: "start it with `jetstream {}` in its configuration or -js, and enable it for this user's account; check this upstream's domain",
      retryable: true,
      slow: true,
      cause,
    })
  }
}

export class NatsStreamMissingError extends UpstreamError {
  constructor(stream: string, command: string) {
    super('HW_NATS_STREAM_MISSING', `JetStream stream ${stream} does not exist and createStream is false`, {
      hint: `create it: ${command}`,
      retryable: true,
      slow: true,
    })
  }
}

/** As it is configured, the stream cannot take each record once. */
export class NatsStreamUnsuitableError extends UpstreamError {
  constructor(stream: string, reason: string, hint: string, cause?: unknown) {
    super('HW_NATS_STREAM_UNSUITABLE', `JetStream stream ${stream}: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** The stream or the account has reached a limit and refuses what is new. */
export class NatsStreamFullError extends UpstreamError {
  constructor(stream: string, reason: string, cause?: unknown) {
    super('HW_NATS_STREAM_FULL', `JetStream stream ${stream} takes nothing now: ${reason}`, {
      hint: `raise its limits or those of its account, or let old messages go: nats stream edit ${stream} --discard=old`,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

export class NatsNotAllowedError extends UpstreamError {
  constructor(what: string, hint: string, cause?: unknown) {
    super('HW_NATS_NOT_ALLOWED', what, { hint, retryable: true, slow: true, cause })
  }
}

/** The server's own limit refuses one record. The position stays before it: nothing is skipped. */
export class NatsRecordTooLargeError extends UpstreamError {
  constructor(stream: string, partition: number, offset: number, bytes: number, bytesMax: number) {
    super(
      'HW_NATS_RECORD_TOO_LARGE',
      `the record ${stream}/${partition} at offset ${offset} is ${bytes} bytes as a message, more than the ${bytesMax} that NATS takes`,
      {
        hint: `raise max_payload of the servers and max_msg_size of the stream over ${bytes}; sync waits for it`,
        retryable: true,
        slow: true,
      },
    )
  }
}
