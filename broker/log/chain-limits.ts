import type { Pace } from './gathering.ts'

export interface ChainLimits {
  /** A segment is sealed once it holds this many bytes. */
  readonly segmentBytes: number
  /** Bytes appended and not yet durable at which `isFull` asks producers to wait. */
  readonly admittedBytesMax: number
  /** Time, for its writer; the system's by default. */
  readonly pace?: Pace
}
