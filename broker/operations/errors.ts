/** Errors of the command line and its socket; the rest are in broker/errors.ts. */
import { HeadwaterError } from '../errors.ts'

/** A command was asked for something that cannot be. */
export class UsageError extends HeadwaterError {
  constructor(message: string, hint: string) {
    super('HW_USAGE', message, { hint })
  }
}

/** The command needs a running broker and there is none. */
export class NotRunningError extends HeadwaterError {
  constructor(directory: string) {
    super('HW_NOT_RUNNING', `no broker runs on the data directory ${directory}`, {
      hint: 'start it with `headwater start`, or name its directory with --data',
    })
  }
}

/** The configuration that was to be read again is refused: the running one stays. */
export class ReloadRefusedError extends HeadwaterError {
  constructor(problems: readonly string[]) {
    super('HW_RELOAD_REFUSED', `the configuration stays as it is: ${problems.join('; ')}`, {
      hint: 'mend the file, `headwater check` it, and reload again',
    })
  }
}

/** A file of the broker's that this user cannot use. */
export class FileAccessError extends HeadwaterError {
  constructor(path: string, reason: string, hint: string, cause?: unknown) {
    super('HW_FILE_ACCESS', `${path}: ${reason}`, { hint, cause })
  }
}

export const AS_ITS_USER = "run this as the broker's user, as with sudo -u headwater, or as root"
const NO_SPACE = 'no space is left'
const REASONS: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  EACCES: ['no permission', AS_ITS_USER],
  EPERM: ['no permission', AS_ITS_USER],
  EROFS: ['the file system is read-only', 'mount it for writing, or choose another place'],
  ENOSPC: [NO_SPACE, 'free some'],
  EDQUOT: [NO_SPACE, 'free some'],
}

/** What the system refuses to a command is no fault of the program's. @returns the error itself where it is another one */
export function explained(error: unknown): unknown {
  if (error instanceof HeadwaterError || !(error instanceof Error)) return error
  const { code, path } = error as NodeJS.ErrnoException
  const [reason, hint] = REASONS[code ?? ''] ?? []
  // a write to an open file does not say to which
  const place = path ?? (reason === NO_SPACE ? 'the disk' : undefined)
  if (reason === undefined || place === undefined) return error
  return new FileAccessError(place, reason, hint!, error)
}

/** The running broker did not answer as it should. */
export class ControlError extends HeadwaterError {
  constructor(message: string, cause?: unknown) {
    super('HW_CONTROL', message, { hint: 'see the log of `headwater start`', retryable: true, cause })
  }
}

export class UnknownUpstreamError extends HeadwaterError {
  constructor(upstream: string, known: readonly string[]) {
    super('HW_UNKNOWN_UPSTREAM', `there is no upstream "${upstream}"`, {
      hint: known.length > 0 ? `upstreams here: ${known.join(', ')}` : 'no upstream is configured',
    })
  }
}

/** Nobody is connected by this client id. */
export class UnknownClientError extends HeadwaterError {
  constructor(clientId: string) {
    super('HW_UNKNOWN_CLIENT', `no client "${clientId}" is connected`, {
      hint: 'the list of clients has those that are',
    })
  }
}

/** An error that came over the socket: another process's, under its own code. */
export class RemoteError extends HeadwaterError {
  constructor(error: ErrorBody) {
    super(error.code, error.message, { hint: error.hint, retryable: error.retryable })
  }
}

/** An error on the socket. */
export interface ErrorBody {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly retryable: boolean
}

export function errorBody(error: unknown): ErrorBody {
  if (error instanceof HeadwaterError) {
    const { code, message, hint, retryable } = error
    return { code, message, hint, retryable }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'HW_INTERNAL', message, hint: 'see the log of `headwater start`', retryable: false }
}
