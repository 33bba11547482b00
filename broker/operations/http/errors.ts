/** Why the HTTP listener does not answer what it was asked. */
import { HeadwaterError } from '../../errors.ts'

/** The request shows no token where one is needed, or a wrong one. */
export class UnauthorizedError extends HeadwaterError {
  constructor(message: string, hint: string) {
    super('HW_UNAUTHORIZED', message, { hint })
  }
}

/** The request may come from a page that is not ours, or is no request that could be answered. */
export class HttpRefusedError extends HeadwaterError {
  readonly status: number
  constructor(message: string, hint: string, status = 403) {
    super('HW_HTTP_REFUSED', message, { hint })
    this.status = status
  }
}

/** Too much at once, or too often. */
export class HttpLimitError extends HeadwaterError {
  readonly status: number
  constructor(message: string, hint: string, status = 429) {
    super('HW_HTTP_LIMIT', message, { hint, retryable: true })
    this.status = status
  }
}

/** `http.tokenFile` cannot be used. */
export class HttpTokenError extends HeadwaterError {
  constructor(path: string, reason: string, cause?: unknown) {
    const hint = 'write one line with at least 16 characters into it, such as `openssl rand -hex 16` gives'
    super('HW_HTTP_TOKEN', `http.tokenFile ${path}: ${reason}`, { hint, cause })
  }
}
