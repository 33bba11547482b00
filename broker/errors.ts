/**
 * Every operating error that Headwater raises. A class per stable code; the code never changes once released.
 * `hint` names the way out in one clause; `retryable` says whether the same call can succeed later by itself.
 */
export class HeadwaterError extends Error {
  readonly code: string
  readonly retryable: boolean
  readonly hint: string

  constructor(
    code: string,
    message: string,
    options: { hint: string; retryable?: boolean; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.hint = options.hint
    this.retryable = options.retryable ?? false
  }

  /** One line for a terminal or a log: the code, what happened, what to do next. */
  get line(): string {
    return `${this.code}: ${this.message}${this.hint ? ` - ${this.hint}` : ''}`
  }
}

/** The configuration file is malformed; `place` is `file:line:column`. */
export class ConfigError extends HeadwaterError {
  readonly place: string
  constructor(place: string, message: string, hint: string) {
    super('HW_CONFIG', `${place}: ${message}`, { hint })
    this.place = place
  }
}

/** Another process holds the data directory. */
export class DataDirectoryLockedError extends HeadwaterError {
  constructor(directory: string, cause?: unknown) {
    super('HW_DATA_LOCKED', `another process uses the data directory ${directory}`, {
      hint: 'stop it, or give this one its own directory with --data',
      cause,
    })
  }
}

/** The data directory cannot be used: permission, read-only, not a directory, another program's. */
export class DataDirectoryError extends HeadwaterError {
  constructor(directory: string, reason: string, hint: string, cause?: unknown) {
    super('HW_DATA_DIRECTORY', `data directory ${directory}: ${reason}`, { hint, cause })
  }
}

/** Nothing has been recorded in this directory. */
export class NoLogError extends DataDirectoryError {
  constructor(directory: string) {
    super(directory, 'it holds no log', 'name the right one with --data')
  }
}

/** The disk is full, and opening a store takes room: it can still be read (storage/level-files/files-store.ts). */
export class NoRoomError extends DataDirectoryError {}

/** A commit did not reach the disk. Nothing in it was acknowledged; the same append may succeed later. */
export class CommitFailedError extends HeadwaterError {
  constructor(reason: string, cause?: unknown) {
    super('HW_COMMIT_FAILED', `the log could not commit: ${reason}`, {
      hint: 'free or repair the disk; the broker tries again by itself and clients send again',
      retryable: true,
      cause,
    })
  }
}

/** The log takes no appends now: it is closing, or its storage is away. */
export class NotCompactedError extends HeadwaterError {
  constructor(stream: string) {
    super('HW_NOT_COMPACTED', `stream "${stream}" is not compacted: old records go by its retention`, {
      hint: 'set its cleanup to compact in the configuration',
    })
  }
}

export class LogFullError extends HeadwaterError {
  constructor(chain: string) {
    super('HW_LOG_FULL', `the disk is full: nothing new is taken into ${chain}`, {
      hint: 'send it again; it is taken once there is room',
      retryable: true,
    })
  }
}

export class LogUnavailableError extends HeadwaterError {
  constructor(reason: string, cause?: unknown) {
    super('HW_LOG_UNAVAILABLE', `the log takes no records now: ${reason}`, {
      hint: 'see `headwater status`',
      retryable: true,
      cause,
    })
  }
}

/** A record exceeds a named limit. */
export class RecordTooLargeError extends HeadwaterError {
  constructor(what: string, bytes: number, bytesMax: number) {
    super('HW_RECORD_TOO_LARGE', `${what} is ${bytes} bytes, the limit is ${bytesMax}`, {
      hint: 'send less, or raise limits.recordBytesMax',
    })
  }
}

export class UnknownStreamError extends HeadwaterError {
  constructor(stream: string, known: readonly string[]) {
    super('HW_UNKNOWN_STREAM', `there is no stream "${stream}"`, {
      hint: known.length > 0 ? `streams here: ${known.join(', ')}` : 'no stream exists yet',
    })
  }
}

export class UnknownPartitionError extends HeadwaterError {
  constructor(stream: string, partition: number, partitions: number) {
    super('HW_UNKNOWN_PARTITION', `stream "${stream}" has no partition ${partition}`, {
      hint: `its partitions are 0 to ${partitions - 1}`,
    })
  }
}

/** The stream keeps no table of its latest values. */
export class NoTableError extends HeadwaterError {
  constructor(stream: string) {
    super('HW_NO_TABLE', `stream "${stream}" has no table`, {
      hint: 'set table: true on it in the configuration and start the broker; the table is built from the log',
    })
  }
}

/** What sessions must not lose did not reach the disk: nothing that hangs on it is acknowledged. */
export class SessionStateError extends HeadwaterError {
  constructor(reason: string, cause?: unknown) {
    super('HW_SESSION_STATE', `the state of the MQTT sessions could not be written: ${reason}`, {
      hint: 'free or repair the disk; the broker tries again by itself and clients come again',
      retryable: true,
      cause,
    })
  }
}

/** A table cannot be read now: it is being built, or its storage is away. */
export class TableUnavailableError extends HeadwaterError {
  constructor(stream: string, reason: string, cause?: unknown) {
    super('HW_TABLE_UNAVAILABLE', `the table of stream "${stream}" ${reason}`, {
      hint: 'try again later; `headwater status` shows how far it is',
      retryable: true,
      cause,
    })
  }
}

/** A table has no such key: it was never written, or removed by a tombstone or by retention. */
export class UnknownKeyError extends HeadwaterError {
  constructor(stream: string, key: string) {
    super('HW_UNKNOWN_KEY', `the table of stream "${stream}" has no key "${key}"`, {
      hint: `\`headwater table ${stream}\` shows its keys`,
    })
  }
}

/** Offsets that retention has removed cannot be read any more. */
export class OffsetGoneError extends HeadwaterError {
  constructor(stream: string, partition: number, offset: number, lowest: number) {
    super('HW_OFFSET_GONE', `offset ${offset} of ${stream}/${partition} is no longer in the log`, {
      hint: `the lowest is ${lowest}`,
    })
  }
}

/** Stored bytes are not what was written: bad CRC, impossible length, missing commit. */
export class CorruptLogError extends HeadwaterError {
  constructor(place: string, reason: string, cause?: unknown) {
    super('HW_CORRUPT_LOG', `${place}: ${reason}`, { hint: 'run `headwater log verify`', cause })
  }
}

/** A file is not a backup that this Headwater reads: another program's, or of a newer version. */
export class BackupForeignError extends HeadwaterError {
  constructor(file: string, reason: string, hint = 'name a file that `headwater backup` wrote') {
    super('HW_BACKUP_FOREIGN', `${file}: ${reason}`, { hint })
  }
}

/** A backup is not what was written: cut short, or changed. */
export class BackupDamagedError extends HeadwaterError {
  constructor(file: string, reason: string, cause?: unknown) {
    super('HW_BACKUP_DAMAGED', `${file}: ${reason}`, {
      hint: 'use another backup; nothing was changed',
      cause,
    })
  }
}

/** A backup's file cannot be read or written. */
export class BackupFileError extends HeadwaterError {
  constructor(file: string, reason: string, hint: string, cause?: unknown) {
    super('HW_BACKUP_FILE', `${file}: ${reason}`, { hint, cause })
  }
}

/** A route or stream definition contradicts what the data directory holds. */
export class StreamDefinitionError extends HeadwaterError {
  constructor(stream: string, reason: string, hint: string) {
    super('HW_STREAM_DEFINITION', `stream "${stream}": ${reason}`, { hint })
  }
}

/** An address cannot be listened on. */
export class ListenError extends HeadwaterError {
  constructor(address: string, reason: string, hint: string, cause?: unknown) {
    super('HW_LISTEN', `cannot listen on ${address}: ${reason}`, { hint, cause })
  }
}

/** The file of users and passwords is not what `headwater users` writes. */
export class UsersFileError extends HeadwaterError {
  constructor(path: string, reason: string, cause?: unknown) {
    super('HW_USERS_FILE', `${path}: ${reason}`, {
      hint: 'mend it, or remove it and add the users again with `headwater users add`',
      cause,
    })
  }
}

/** A line for any thrown value: a HeadwaterError's own, else its message. */
export function errorLine(error: unknown): string {
  if (error instanceof HeadwaterError) return error.line
  return error instanceof Error ? error.message : String(error)
}
