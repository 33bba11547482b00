/** A load on one MQTT server: what is asked of the generator and what it found. */
import { runJob } from '../children.ts'
import { type Manner, topicOf } from './manner.ts'
import { type EntryShape, entryBytes } from './packets.ts'

export interface Load {
  readonly manner: Manner
  readonly connections: number
  /** What is sent at a time, and acknowledged at once. */
  readonly entry: EntryShape
  /** Entries in flight on each connection; none beyond the ring where `ratePerSecond` paces them. */
  readonly window: number
  /** Messages a second over all connections; null sends as fast as acknowledgements come. */
  readonly ratePerSecond: number | null
  readonly payloadBytes: number
  /** Not measured: until code is compiled and buffers have their size. */
  readonly warmSeconds: number
  readonly seconds: number
  /** Ends with so many messages, whatever time it takes; null ends with `seconds`. */
  readonly messagesMax: number | null
}

export interface LoadJob extends Load {
  readonly port: number
  readonly serverPid: number
}

export type LoadResult = {
  readonly messages: number
  /** Also those that were not measured: what the server must have. */
  readonly messagesInAll: number
  readonly messagesPerSecond: number
  /** From the write (paced: from when it was due) to the PUBACK. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly serverCpuUs: number
  /** Of one processor core, both. */
  readonly serverCpuShare: number
  readonly generatorCpuShare: number
  readonly idleRssBytes: number
  readonly rssBytes: number
  readonly rssPeakBytes: number
  readonly rssAnonBytes: number
}

const RING_MESSAGES = 1024

/** Entries that each connection has ready, and so the most that can be in flight on it. */
export function ringEntries({ qos0, qos1 }: EntryShape): number {
  return Math.ceil(RING_MESSAGES / (qos0 + qos1))
}

export function entryBytesOf({ entry, payloadBytes, manner }: Load): number {
  return entryBytes(entry, { topic: topicOf(0), payloadBytes, manner })
}

const WORKER = new URL('./load-worker.js', import.meta.url)

export function runLoad(job: LoadJob): Promise<LoadResult> {
  return runJob<LoadJob, LoadResult>(WORKER, job)
}
