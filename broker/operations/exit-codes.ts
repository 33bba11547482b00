/** The exit codes of `headwater`: part of its interface, never changed. Help, manual and docs/operate.md have EXIT_CODES. */
export const ExitCode = {
  ok: 0,
  /** The operation failed, or it found a fault: damage, a lost connection, an unknown stream. */
  failed: 1,
  /** The command line or the configuration is wrong; trying again does not help. */
  usage: 2,
  /** The command needs a running broker and there is none; `status` says so as well. */
  notRunning: 3,
  /** Another process uses the data directory. */
  locked: 4,
  /** The data directory cannot be used: permission, read-only, full, another program's. */
  dataDirectory: 5,
  /** An address cannot be listened on: in use, not allowed, not this machine's. */
  listen: 6,
} as const

export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [ExitCode.ok, 'done; for status, sync status, sync verify, log verify and doctor: nothing is wrong'],
  [ExitCode.failed, 'failed, or a fault was found'],
  [ExitCode.usage, 'wrong command line or configuration'],
  [ExitCode.notRunning, 'no broker is running'],
  [ExitCode.locked, 'another process uses the data directory'],
  [ExitCode.dataDirectory, 'the data directory cannot be used'],
  [ExitCode.listen, 'an address cannot be listened on'],
]

const CODES: Readonly<Record<string, number>> = {
  HW_CONFIG: ExitCode.usage,
  HW_USAGE: ExitCode.usage,
  HW_HTTP_TOKEN: ExitCode.usage,
  HW_STREAM_DEFINITION: ExitCode.usage,
  HW_NOT_RUNNING: ExitCode.notRunning,
  HW_DATA_LOCKED: ExitCode.locked,
  HW_DATA_DIRECTORY: ExitCode.dataDirectory,
  HW_FILE_ACCESS: ExitCode.dataDirectory,
  HW_LISTEN: ExitCode.listen,
}

/** @param own of a program that has errors of its own */
export function exitCodeFor(error: unknown, own: Readonly<Record<string, number>> = {}): number {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined
  return (typeof code === 'string' ? (own[code] ?? CODES[code]) : undefined) ?? ExitCode.failed
}
