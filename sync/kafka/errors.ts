/** What is the matter with a topic. */
import { UpstreamError } from '../upstream-errors.ts'

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
