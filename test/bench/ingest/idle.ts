/** Connections that say nothing: what they cost in memory. */
import { runJob } from '../children.ts'
import type { Manner } from './manner.ts'

export interface IdleJob {
  readonly manner: Manner
  readonly connections: number
  /** From the last SUBACK on. */
  readonly settleSeconds: number
  readonly port: number
  readonly serverPid: number
}

export type IdleResult = {
  readonly beforeRssBytes: number
  readonly rssBytes: number
  readonly rssPeakBytes: number
  readonly rssAnonBytes: number
}

const WORKER = new URL('./idle-worker.js', import.meta.url)

export function runIdle(job: IdleJob): Promise<IdleResult> {
  return runJob<IdleJob, IdleResult>(WORKER, job)
}
