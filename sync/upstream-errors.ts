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
  #stream: string | null = null
  constructor(code: string, message: string, options: UpstreamErrorOptions) {
    super(code, message, options)
    this.slow = options.slow ?? false
  }

  /** The stream that it is about, while the others may go on; null where it is about all of the upstream. */
  get stream(): string | null {
    return this.#stream
  }

  /** @returns itself, which is about this stream alone */
  of(stream: string): this {
    this.#stream = stream
    return this
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

/** An upstream's configuration contradicts itself in a way that its schema cannot say. */
export class UpstreamConfigError extends HeadwaterError {
  constructor(upstream: string, message: string, hint: string) {
    super('HW_UPSTREAM_CONFIG', `upstream ${upstream}: ${message}`, { hint })
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
