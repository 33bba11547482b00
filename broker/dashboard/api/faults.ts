/** What can go wrong between the page and its broker. Codes are the broker's own; what never reached it has a class of its own. */

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly hint: string

  constructor(status: number, code: string, message: string, hint: string) {
    super(message)
    this.status = status
    this.code = code
    this.hint = hint
  }
}

/** Nobody answered, or not in time, or the answer ended in the middle. */
export class AwayError extends Error {}

/** The API wants a token, or another one; or it has none, and this takes one. */
export class TokenError extends ApiError {}

/** One clear line for a person. */
export function errorText(error: unknown): string {
  if (error instanceof ApiError) {
    return error.hint === '' ? error.message : `${error.message} \u2013 ${error.hint}`
  }
  return error instanceof Error ? error.message : String(error)
}
