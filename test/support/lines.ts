/** A log that keeps its lines. */
import type { LogSink } from '../../broker/log-sink.ts'

export class Lines implements LogSink {
  readonly infos: string[] = []
  readonly warnings: string[] = []
  readonly errors: string[] = []

  info(message: string, fields?: Record<string, unknown>): void {
    this.infos.push(line(message, fields))
  }
  warn(message: string, fields?: Record<string, unknown>): void {
    this.warnings.push(line(message, fields))
  }
  error(message: string, fields?: Record<string, unknown>): void {
    this.errors.push(line(message, fields))
  }
}

function line(message: string, fields?: Record<string, unknown>): string {
  return fields === undefined ? message : `${message} ${JSON.stringify(fields)}`
}
