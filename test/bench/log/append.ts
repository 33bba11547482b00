/** Appends as the ingress does: the next commit's records come in while the last one's fsync is under way. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Chain } from '../../../broker/log/chain.ts'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { Payloads } from '../payloads.ts'
import { moment } from '../process-usage.ts'
import { LatencyBuckets } from '../statistics.ts'
import { type LogResult, type Shape, STREAM } from './job.ts'
import { finished } from './measure.ts'
import { openBenchLog } from './opened-log.ts'

export async function append(directory: string, shape: Shape, commits: number): Promise<LogResult> {
  const { recordBytes, recordsPerCommit, partitionsPerCommit } = shape
  const { log, close } = await openBenchLog(directory, shape.partitions)
  const { chain, partitions } = log.stream(STREAM)
  const payloads = new Payloads(recordBytes)
  const latency = new LatencyBuckets()
  const start = moment()
  let underWay: Promise<void> = Promise.resolve()
  let at = 0
  for (let commit = 0; commit < commits; commit++) {
    const timestamp = Date.now()
    for (let i = 0; i < recordsPerCommit; i++) {
      const partition = partitions[(at + (i % partitionsPerCommit)) % partitions.length]!
      chain.append(partition, timestamp, null, payloads.next(), NO_HEADERS)
    }
    at = (at + partitionsPerCommit) % partitions.length
    const last = underWay
    underWay = committed(chain, latency)
    await last
    // by then the chain has taken what was appended, unless it is sealing a segment; what comes now is the next commit's
    await nextTurn()
  }
  await underWay
  const work = { records: commits * recordsPerCommit, recordBytes, latency }
  const result = finished(start, work)
  await close()
  const { records } = log.status()
  if (records !== result.records) throw new Error(`the log counts ${records} records, not ${result.records}`)
  return result
}

/** Resolves once the open commit is on disk. */
function committed(chain: Chain, latency: LatencyBuckets): Promise<void> {
  const appendedAt = performance.now()
  return new Promise((resolve, reject) => {
    chain.onCommit((error) => {
      if (error !== null) return reject(error)
      latency.record((performance.now() - appendedAt) * 1000)
      resolve()
    })
  })
}
