/** The limit of this disk: the same payloads into one file, a write and an fdatasync a commit, nothing else. */
import { mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Payloads } from '../../payloads.ts'
import { moment } from '../../process-usage.ts'
import { LatencyBuckets } from '../../statistics.ts'
import type { AppendJob, LogResult } from '../job.ts'
import { finished } from './measure.ts'

export async function appendToFile({ directory, shape, commits }: AppendJob): Promise<LogResult> {
  const { recordBytes, recordsPerCommit } = shape
  mkdirSync(directory)
  const file = await open(join(directory, 'plain'), 'w')
  const payloads = new Payloads(recordBytes)
  const latency = new LatencyBuckets()
  // two, because the next is filled while the last one is on its way
  const buffers = [0, 1].map(() => Buffer.allocUnsafe(recordBytes * recordsPerCommit))
  const start = moment()
  let underWay = Promise.resolve()
  for (let commit = 0; commit < commits; commit++) {
    const buffer = buffers[commit % 2]!
    for (let i = 0; i < recordsPerCommit; i++) buffer.set(payloads.next(), i * recordBytes)
    await underWay
    const filledAt = performance.now()
    underWay = file
      .write(buffer)
      .then(() => file.datasync())
      .then(() => latency.record((performance.now() - filledAt) * 1000))
  }
  await underWay
  const result = finished(start, { records: commits * recordsPerCommit, recordBytes, latency })
  await file.close()
  return result
}
