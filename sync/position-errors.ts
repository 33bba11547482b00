/** Where this log stands upstream, and whose place that is, is in doubt or in dispute. */
import { UpstreamError } from './upstream-errors.ts'

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
