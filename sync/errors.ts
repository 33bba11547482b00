/**
 * Every operating error of sync. `retryable` says whether the replicator goes on by itself: it does for all that a person
 * can mend elsewhere (a cluster, a topic, credentials), because nobody visits hundreds of edges to restart them. It stops
 * only where going on could write a wrong log upstream. `slow` errors will not pass in a second: they wait the full backoff.
 */
import { HeadwaterError } from '../broker/index.ts'

export interface UpstreamErrorOptions {
  readonly hint: string
  readonly retryable: boolean
  readonly slow?: boolean
  readonly cause?: unknown
}

export class UpstreamError extends HeadwaterError {
  readonly slow: boolean
  constructor(code: string, message: string, options: UpstreamErrorOptions) {
    super(code, message, options)
    this.slow = options.slow ?? false
  }
}

/** No connection: refused, no such name, no route, or it broke. */
export class UpstreamUnreachableError extends UpstreamError {
  constructor(message: string, hint: string, cause?: unknown) {
    super('HW_UPSTREAM_UNREACHABLE', message, { hint, retryable: true, cause })
  }
}

/** An answer did not come in time: the link is slow or stalls. The next round is smaller. */
export class UpstreamTimeoutError extends UpstreamError {
  constructor(message: string, cause?: unknown) {
    super('HW_UPSTREAM_TIMEOUT', message, {
      hint: 'the link may be slow or down; sync goes on with smaller rounds by itself',
      retryable: true,
      cause,
    })
  }
}

/** A call upstream went on without an end; the connection was dropped (link/watchdog.ts). */
export class UpstreamStalledError extends UpstreamError {
  constructor(what: string, seconds: number) {
    super('HW_UPSTREAM_STALLED', `${what} did not end in ${seconds} s; the connection was dropped`, {
      hint: 'sync goes on by itself; if it comes again, look whether the upstream, its disk or the link hangs',
      retryable: true,
    })
  }
}

/** Retried slowly rather than stopped: credentials are mended on the cluster's side or in a secret file. */
export class UpstreamAuthError extends UpstreamError {
  constructor(
    address: string,
    reason: string,
    cause?: unknown,
    hint = 'check sasl.mechanism, sasl.username and the password file, and that the user exists on the cluster',
  ) {
    super('HW_UPSTREAM_AUTH', `${address} refused this edge: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** No encrypted connection, by the other side's certificate or because one of both sides does not speak TLS. */
export class UpstreamTlsError extends UpstreamError {
  constructor(
    address: string,
    reason: string,
    cause?: unknown,
    hint = "check tls.caFile, the certificate's names (tls.serverName), and the clock of this device",
  ) {
    super('HW_UPSTREAM_TLS', `no TLS connection to ${address}: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** The other side wants a certificate of this device, and does not take the one it has, or there is none. */
export class UpstreamCertificateError extends UpstreamError {
  constructor(address: string, reason: string, hint: string, cause?: unknown) {
    super('HW_UPSTREAM_CERTIFICATE', `${address} does not take this device's certificate: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** A certificate seems not to be valid yet, and it is this device's clock that is wrong, not the certificate. */
export class UpstreamClockError extends UpstreamError {
  constructor(address: string, reason: string, cause?: unknown) {
    super('HW_UPSTREAM_CLOCK', `no TLS connection to ${address}: this device's clock is wrong: ${reason}`, {
      hint: 'sync goes on by itself once the time is synchronized; see `headwater status`, and whether a time service runs and reaches its servers',
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** No access token: the token endpoint refuses this client, or cannot be reached. */
export class UpstreamTokenError extends UpstreamError {
  constructor(endpoint: string, reason: string, hint: string, cause?: unknown) {
    super('HW_UPSTREAM_TOKEN', `no token from ${endpoint}: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** An upstream's configuration contradicts itself in a way that its schema cannot say. */
export class UpstreamConfigError extends HeadwaterError {
  constructor(upstream: string, message: string, hint: string) {
    super('HW_UPSTREAM_CONFIG', `upstream ${upstream}: ${message}`, { hint })
  }
}

/** A secret cannot be read from where the configuration says it is. */
export class UpstreamSecretError extends UpstreamError {
  constructor(
    field: string,
    reason: string,
    cause?: unknown,
    hint = 'put the secret there, readable by the user that runs headwater',
  ) {
    super('HW_UPSTREAM_SECRET', `${field}: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** The upstream answered with an error that has no class of its own; `answer` is the upstream's name for it. */
export class UpstreamAnswerError extends UpstreamError {
  readonly answer: string
  constructor(answer: string, during: string, hint: string, cause?: unknown) {
    super('HW_UPSTREAM_ANSWER', `${during}: the upstream answered ${answer}`, {
      hint,
      retryable: true,
      cause,
    })
    this.answer = answer
  }
}

export class TopicMissingError extends UpstreamError {
  constructor(topic: string, command: string) {
    super('HW_TOPIC_MISSING', `topic ${topic} does not exist and createTopics is false`, {
      hint: `create it: ${command}`,
      retryable: true,
      slow: true,
    })
  }
}

/** The topic may not be created, described or written. */
export class TopicNotAllowedError extends UpstreamError {
  constructor(topic: string, reason: string, hint: string, cause?: unknown) {
    super('HW_TOPIC_NOT_ALLOWED', `topic ${topic}: ${reason}`, { hint, retryable: true, slow: true, cause })
  }
}

/** A position that a reader of a topic stands at is below what the topic still holds, or above its end. */
export class TopicOffsetGoneError extends UpstreamError {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** What the topic holds now: from `start`, below `end`. */
  readonly start: number
  readonly end: number
  constructor(topic: string, partition: number, offset: number, start: number, end: number) {
    super(
      'HW_TOPIC_OFFSET_GONE',
      `topic ${topic}/${partition} holds offsets ${start} to ${end}, not ${offset}`,
      {
        hint:
          offset < start
            ? "the topic's retention removed what was to be read; keep more there (retention.ms, retention.bytes), or read on from its start"
            : 'the topic lost its end (an unclean election) or was emptied; read on from its end',
        retryable: false,
      },
    )
    this.topic = topic
    this.partition = partition
    this.offset = offset
    this.start = start
    this.end = end
  }
}

/** While a topic was read it was deleted and created again: its offsets mean other records now. */
export class TopicRecreatedError extends UpstreamError {
  constructor(topic: string) {
    super('HW_TOPIC_RECREATED', `topic ${topic} was deleted and created again while it was read`, {
      hint: 'read it again from its start',
      retryable: false,
    })
  }
}

/** Two streams would write one topic, whose partitions then hold one checkpoint for both. */
export class TopicConflictError extends UpstreamError {
  constructor(topic: string, streams: readonly string[]) {
    super('HW_TOPIC_CONFLICT', `streams ${streams.join(' and ')} both map to topic ${topic}`, {
      hint: "put {stream} into this upstream's topic template",
      retryable: false,
    })
  }
}

export class PartitionMismatchError extends UpstreamError {
  constructor(stream: string, partitions: number, topic: string, topicPartitions: number, hint: string) {
    super(
      'HW_PARTITION_MISMATCH',
      `stream ${stream} has ${partitions} partitions, topic ${topic} has ${topicPartitions}`,
      { hint, retryable: true, slow: true },
    )
  }
}

/** The upstream's own limit refuses one record. The position stays before it: nothing is skipped. */
export class UpstreamRecordTooLargeError extends UpstreamError {
  constructor(stream: string, partition: number, offset: number, bytes: number, topic: string) {
    super(
      'HW_UPSTREAM_RECORD_TOO_LARGE',
      `the record ${stream}/${partition} at offset ${offset} is ${bytes} bytes as a batch, more than topic ${topic} takes`,
      {
        hint: `raise the topic's limit: kafka-configs.sh --alter --topic ${topic} --add-config max.message.bytes=${bytes * 2}; sync waits for it`,
        retryable: true,
        slow: true,
      },
    )
  }
}

/** The topic refuses the time of a record: this device's clock was ahead when the event was accepted. */
export class TimestampRefusedError extends UpstreamError {
  constructor(topic: string, reason: string) {
    super('HW_TIMESTAMP_REFUSED', `topic ${topic} refuses the time of a record: ${reason}`, {
      hint: `let it: kafka-configs.sh --alter --topic ${topic} --add-config message.timestamp.after.max.ms=9223372036854775807`,
      retryable: true,
      slow: true,
    })
  }
}

/** Another process writes as this edge: a cloned card, or a second broker with the same edge id. */
export class FencedError extends UpstreamError {
  constructor(producer: string, during: string, cause?: unknown) {
    super('HW_FENCED', `another process took over as producer ${producer} (${during})`, {
      hint: 'two devices or processes have this edge name: stop one, give it another with `headwater rename NAME`, start it, and run `headwater sync resume` on the other',
      retryable: false,
      cause,
    })
  }
}

/** What upstream says it has is not what this log holds. Nothing is sent, so that nothing is overwritten. */
export class CheckpointMismatchError extends UpstreamError {
  constructor(what: string, hint: string) {
    super('HW_CHECKPOINT_MISMATCH', what, { hint, retryable: false })
  }
}

/** Upstream has more of this log than the log itself: it was restored from an older copy. */
export class CheckpointAheadError extends UpstreamError {
  constructor(key: string, next: number, durable: number) {
    super(
      'HW_CHECKPOINT_AHEAD',
      `upstream has ${key} up to offset ${next}, this log ends at ${durable}: it was restored from an older copy`,
      {
        hint: 'new records here would reuse offsets that upstream has; stop it, give it another name with `headwater rename NAME`, and start it',
        retryable: false,
      },
    )
  }
}

/** A position cannot be moved to where a person wants it. */
export class RewindRefusedError extends UpstreamError {
  constructor(upstream: string, reason: string, hint: string) {
    super('HW_REWIND_REFUSED', `upstream ${upstream} stays where it is: ${reason}`, {
      hint,
      retryable: false,
    })
  }
}

/** What an upstream holds cannot be compared with the log. */
export class UnverifiableError extends UpstreamError {
  constructor(upstream: string, reason: string, hint: string) {
    super('HW_UNVERIFIABLE', `upstream ${upstream} cannot be verified: ${reason}`, { hint, retryable: false })
  }
}

/** Upstream lost what it acknowledged, and it cannot be told from where on. Retried, because a permission can be given. */
export class PositionUnknownError extends UpstreamError {
  constructor(what: string, reason: string) {
    super('HW_POSITION_UNKNOWN', `${what}, and where this log stands there cannot be told: ${reason}`, {
      hint: 'allow this user Read on the topic; or say where to go on with `headwater sync rewind`',
      retryable: true,
      slow: true,
    })
  }
}

/** The archive's directory takes no data now: full, read-only, unplugged, not permitted. */
export class ArchiveUnwritableError extends UpstreamError {
  constructor(directory: string, reason: string, hint: string, cause?: unknown) {
    super('HW_ARCHIVE_UNWRITABLE', `archive ${directory}: ${reason}`, { hint, retryable: true, cause })
  }
}

/** The archive's files are not what its manifest says. */
export class ArchiveDamagedError extends UpstreamError {
  constructor(place: string, reason: string, cause?: unknown) {
    super('HW_ARCHIVE_DAMAGED', `${place}: ${reason}`, {
      hint: 'keep the directory for repair and give this upstream an empty one',
      retryable: false,
      cause,
    })
  }
}

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

/** Not foreseen: a mistake in this program or a library. A broken invariant stops the upstream, anything else is tried again. */
export class SyncInternalError extends UpstreamError {
  constructor(message: string, retryable = true, cause?: unknown) {
    super('HW_SYNC_INTERNAL', `unexpected: ${message}`, {
      hint: 'please report this with the log around it',
      retryable,
      cause,
    })
  }
}

/** A downlink's configuration contradicts itself, or names an upstream that it cannot read from. */
export class DownlinkConfigError extends HeadwaterError {
  constructor(downlink: string, message: string, hint: string) {
    super('HW_DOWNLINK_CONFIG', `downlink ${downlink}: ${message}`, { hint })
  }
}

/** The topic that a downlink reads does not exist. It is waited for. */
export class DownlinkTopicError extends UpstreamError {
  constructor(topic: string, cluster: string) {
    super('HW_DOWNLINK_TOPIC', `there is no topic ${topic} at ${cluster}`, {
      hint: `create it, or mend the downlink's topic: kafka-topics.sh --bootstrap-server ${cluster} --create --topic ${topic}`,
      retryable: true,
      slow: true,
    })
  }
}

/** The topic no longer has what a downlink was to read next, and its `outOfRange` says to stop. */
export class DownlinkRangeError extends UpstreamError {
  constructor(topic: string, partition: number, next: number, startOffset: number, endOffset: number) {
    super(
      'HW_DOWNLINK_RANGE',
      `${topic}/${partition} has offsets ${startOffset} to ${endOffset}, and ${next} was to be read next`,
      {
        hint: 'set outOfRange of this downlink to earliest or latest, and start again',
        retryable: false,
      },
    )
  }
}
