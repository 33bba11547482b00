/** Appends commits of one shape, with retention and compaction at work beside it where the streams have them. */
import { setTimeout as delay } from 'node:timers/promises'
import type { EventLog } from '../../../../broker/log/event-log.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { memory, moment } from '../../process-usage.ts'
import type { AppendJob, AppendResult, MemorySample, StreamShape } from '../job.ts'
import { hastyDisk } from './hasty-disk.ts'
import { finished } from './measure.ts'
import { openBenchLog } from './opened-log.ts'
import { Writer } from './writer.ts'

/** Between two looks at what is dirty: the broker's schedule is in minutes, for loads of days. */
const COMPACTION_PAUSE_MS = 50

export async function append(job: AppendJob): Promise<AppendResult> {
  const { directory, shape, commits, isHasty = false, isTidied = false, samples: samplesWanted = 0 } = job
  const { streams, recordBytes, recordsPerCommit } = shape
  const { log, close } = await openBenchLog(directory, streams, isHasty ? hastyDisk : nodeDisk)
  const writer = new Writer(log, shape)
  const samples: MemorySample[] = []
  const start = moment()
  const compactor = isTidied && streams.some(({ isCompacted }) => isCompacted) ? new Compactor(log) : null
  for (let commit = 1; commit <= commits; commit++) {
    await writer.commit()
    if (commit * samplesWanted >= (samples.length + 1) * commits)
      samples.push(sample(commit * recordsPerCommit))
  }
  await writer.end()
  if (isTidied) {
    await compactor?.end()
    // the first may have been under way with an older plan
    await log.janitor.run()
    await log.janitor.run()
  }
  const records = commits * recordsPerCommit
  const result = finished(start, { records, recordBytes, latency: writer.latency })
  const status = log.status()
  const { rewrittenBytes, compaction } = status.retention
  const state = {
    segments: status.segments,
    storedBytes: status.storedBytes,
    keptBytes: keptBytes(log, streams),
    rewrittenBytes,
    compactions: compaction.rounds,
    compactedBytes: compaction.writtenBytes,
    samples,
  }
  await close()
  if (status.records !== records) throw new Error(`the log counts ${status.records} records, not ${records}`)
  return { ...result, ...state }
}

/** Compacts by the rule for as long as records come, as the broker's schedule would. */
class Compactor {
  #isEnding = false
  readonly #running: Promise<void>

  constructor(log: EventLog) {
    this.#running = this.#run(log)
    // told by `end`
    this.#running.catch(() => undefined)
  }

  end(): Promise<void> {
    this.#isEnding = true
    return this.#running
  }

  async #run(log: EventLog): Promise<void> {
    while (!this.#isEnding) {
      await log.janitor.compact()
      await delay(COMPACTION_PAUSE_MS)
    }
  }
}

function sample(records: number): MemorySample {
  const { rssBytes, rssAnonBytes } = memory('self')
  return { records, rssBytes, rssAnonBytes }
}

function keptBytes(log: EventLog, streams: readonly StreamShape[]): number {
  const kept = new Set(
    streams.filter(({ retentionBytes }) => retentionBytes === undefined).map(({ name }) => name),
  )
  return log
    .streams()
    .filter(({ stream }) => kept.has(stream))
    .reduce((sum, { bytes }) => sum + bytes, 0)
}
