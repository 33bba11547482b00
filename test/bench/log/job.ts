/** What a process of the log's benchmark is asked and what it answers. */

/** What is written: `commits` commits of the same shape. */
export interface Shape {
  readonly recordBytes: number
  /** Partitions that each commit writes to, in turn over all there are. */
  readonly partitions: number
  readonly partitionsPerCommit: number
  readonly recordsPerCommit: number
}

export type LogJob =
  | {
      readonly kind: 'append' | 'append to a file'
      readonly directory: string
      readonly shape: Shape
      readonly commits: number
    }
  | { readonly kind: 'read batches' | 'read in commit order' | 'start'; readonly directory: string }

export type LogResult = {
  readonly records: number
  readonly payloadBytes: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly commitP50Ms: number
  readonly commitP99Ms: number
  readonly deviceBytes: number
  readonly rssPeakBytes: number
  readonly rssAnonBytes: number
}

export const STREAM = 'bench'
