/** Where the broker says what happens: one line a message, for a journal. */
export interface LogSink {
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}

export const silentSink: LogSink = { info() {}, warn() {}, error() {} }
