/** Few publishers, and subscribers that get all of it. */
import { runJob } from '../children.ts'
import type { Manner } from './manner.ts'

export interface FanOut {
  readonly manner: Manner
  readonly publishers: number
  /** On `#`. */
  readonly subscribers: number
  /** Of the messages and of the subscriptions. */
  readonly qos: 0 | 1
  /** Messages of each publisher that not every subscriber has got yet. */
  readonly window: number
  readonly payloadBytes: number
  readonly warmSeconds: number
  readonly seconds: number
}

export interface FanOutJob extends FanOut {
  readonly port: number
  readonly serverPid: number
}

export type FanOutResult = {
  readonly deliveriesPerSecond: number
  readonly messagesInAll: number
  /** Of the server, a delivery. */
  readonly serverCpuUs: number
  readonly serverCpuShare: number
  readonly generatorCpuShare: number
  readonly rssBytes: number
  readonly rssPeakBytes: number
}

const WORKER = new URL('./fan-out-worker.js', import.meta.url)

export function runFanOut(job: FanOutJob): Promise<FanOutResult> {
  return runJob<FanOutJob, FanOutResult>(WORKER, job)
}
