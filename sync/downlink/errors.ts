/** What is the matter with a downlink. */
import { HeadwaterError } from '../../broker/index.ts'
import { UpstreamError } from '../upstream-errors.ts'

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
