/** A load on one MQTT server: what is asked of the generator and what it found. */
import { runJob } from '../children.ts'
import { publishPacketBytes } from './packets.ts'

export interface Load {
  readonly connections: number
  /** Messages in flight on each connection; none beyond the ring where `ratePerSecond` paces them. */
  readonly window: number
  /** Messages a second over all connections; null sends as fast as acknowledgements come. */
  readonly ratePerSecond: number | null
  readonly payloadBytes: number
  /** Not measured: until code is compiled and buffers have their size. */
  readonly warmSeconds: number
  readonly seconds: number
}

export interface LoadJob extends Load {
  readonly port: number
  readonly serverPid: number
}

export type LoadResult = {
  readonly messages: number
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

/** Packets that each connection has ready, and so the most that can be in flight on it. */
export const RING_PACKETS = 1024

/** All topics have one length, so that all packets have. */
export function topicOf(connection: number): string {
  return `site/1/dev/${String(connection).padStart(5, '0')}/t`
}

export function packetBytesOf(load: Load): number {
  return publishPacketBytes(topicOf(0), load.payloadBytes)
}

const WORKER = new URL('./load-worker.js', import.meta.url)

export function runLoad(job: LoadJob): Promise<LoadResult> {
  return runJob<LoadJob, LoadResult>(WORKER, job)
}
