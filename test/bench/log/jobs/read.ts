/** Reads all that a directory holds, as consumers and as the replicator do, or just opens it. */
import { recordCountOf, type StoredBatch } from '../../../../broker/index.ts'
import { moment } from '../../process-usage.ts'
import type { LogResult, OpenResult } from '../job.ts'
import { finished } from './measure.ts'
import { openBenchLog } from './opened-log.ts'

const READ_BYTES = 1024 * 1024

/** Partition after partition, stored batches from the first offset to the last. */
export async function readBatches(directory: string): Promise<LogResult> {
  const { log, close } = await openBenchLog(directory)
  const start = moment()
  const count = new Count()
  for (const { stream, partition, logStartOffset, durableOffset } of log.partitions()) {
    let offset = logStartOffset
    while (offset < durableOffset) {
      const batches = await log.read(stream, partition, offset, READ_BYTES)
      count.add(batches)
      offset = batches.at(-1)!.nextOffset
    }
  }
  const result = finished(start, count.work)
  await close()
  return result
}

/** A read of each partition in turn, as consumers do that keep up with one another. */
export async function readInTurns(directory: string): Promise<LogResult> {
  const { log, close } = await openBenchLog(directory)
  const start = moment()
  const count = new Count()
  let left = log.partitions().map((at) => ({ ...at, offset: at.logStartOffset }))
  while (left.length > 0) {
    left = left.filter(({ offset, durableOffset }) => offset < durableOffset)
    for (const at of left) {
      const batches = await log.read(at.stream, at.partition, at.offset, READ_BYTES)
      count.add(batches)
      at.offset = batches.at(-1)!.nextOffset
    }
  }
  const result = finished(start, count.work)
  await close()
  return result
}

/** All partitions in commit order. */
export async function readCommits(directory: string): Promise<LogResult> {
  const { log, close } = await openBenchLog(directory)
  const start = moment()
  const count = new Count()
  const cursor = log.openCursor(new Map())
  for (;;) {
    const batches = await cursor.next(READ_BYTES)
    if (batches.length === 0) break
    count.add(batches)
  }
  const result = finished(start, count.work)
  await cursor.close()
  await close()
  return result
}

/** From nothing to a log that takes appends and reads. */
export async function open(directory: string): Promise<OpenResult> {
  const start = moment()
  const { log, close } = await openBenchLog(directory)
  const result = finished(start, { records: recordsIn(log.partitions()), recordBytes: 0 })
  const { segments, storedBytes } = log.status()
  const activeBytes = log.chains().reduce((sum, { active }) => sum + active.bytes, 0)
  await close()
  return { ...result, segments, storedBytes, activeBytes }
}

function recordsIn(partitions: readonly { logStartOffset: number; durableOffset: number }[]): number {
  return partitions.reduce(
    (sum, { logStartOffset, durableOffset }) => sum + durableOffset - logStartOffset,
    0,
  )
}

class Count {
  #records = 0
  #bytes = 0

  add(batches: readonly StoredBatch[]): void {
    for (const { bytes } of batches) {
      this.#records += recordCountOf(bytes)
      this.#bytes += bytes.length
    }
  }

  get work() {
    return { records: this.#records, recordBytes: this.#bytes / this.#records }
  }
}
