/** How many records a log takes on a disk, an fsync each commit: the broker's own log, in a scratch directory. */
import { readFile } from 'node:fs/promises'
import { EventLog } from '../../log/event-log.ts'
import { NO_HEADERS } from '../../log/record-batch.ts'
import { silentSink } from '../../log-sink.ts'
import { openDataDirectory } from '../../storage/data-directory.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { type Latencies, latenciesOf } from './latencies.ts'
import { withScratch } from './scratch.ts'

/** Of a record's value. */
export const RECORD_BYTES = 100
/** Keeps to what a small device has: no segment is rolled in so short a time. */
const LOG = { segmentBytes: 33_554_432, admittedBytesMax: 2_097_152, writeBufferBytes: 4_194_304 }
const STREAM = 'bench'

export interface AppendLimits {
  readonly msMax: number
  /** Of records' values, in all. */
  readonly bytesMax: number
}

export interface Appended {
  readonly recordsPerCommit: number
  readonly records: number
  readonly recordsPerSecond: number
  /** Of a commit, from the append to its fsync. */
  readonly commitMs: Latencies
  /** Bytes that the kernel was told to write for one commit, without the file system's own journal; null where it does not tell. */
  readonly bytesPerCommit: number | null
}

/** @throws what the disk throws */
export function measureAppend(
  place: string,
  recordsPerCommit: number,
  { msMax, bytesMax }: AppendLimits,
  signal: AbortSignal,
): Promise<Appended> {
  return withScratch(place, async (scratch) => {
    const data = await openDataDirectory(nodeDisk, scratch, { name: 'bench', isExplicit: true })
    try {
      const options = { streams: [{ name: STREAM, partitions: 1 }], ...LOG }
      const log = await EventLog.open(nodeDisk, data, options, silentSink)
      try {
        const { chain, partitions } = log.stream(STREAM)
        const value = Buffer.alloc(RECORD_BYTES, 0x61)
        const taken: number[] = []
        const writtenBefore = await writtenBytes()
        const startedAt = performance.now()
        let records = 0
        while (
          !signal.aborted &&
          performance.now() - startedAt < msMax &&
          (records + recordsPerCommit) * RECORD_BYTES <= bytesMax
        ) {
          const at = performance.now()
          for (let i = 0; i < recordsPerCommit; i++) {
            chain.append(partitions[0]!, Date.now(), null, value, NO_HEADERS)
          }
          await new Promise<void>((resolve, reject) =>
            chain.onCommit((error) => (error === null ? resolve() : reject(error))),
          )
          taken.push(performance.now() - at)
          records += recordsPerCommit
        }
        const seconds = Math.max((performance.now() - startedAt) / 1000, 0.001)
        const writtenAfter = await writtenBytes()
        const written = writtenBefore === null || writtenAfter === null ? null : writtenAfter - writtenBefore
        return {
          recordsPerCommit,
          records,
          recordsPerSecond: records / seconds,
          commitMs: latenciesOf(taken),
          bytesPerCommit: written === null || taken.length === 0 ? null : written / taken.length,
        }
      } finally {
        await log.close()
      }
    } finally {
      await data.facts.close()
    }
  })
}

/** proc(5), io: pages that this process made dirty and the kernel wrote or will write. */
async function writtenBytes(): Promise<number | null> {
  const io = await readFile('/proc/self/io', 'utf8').catch(() => '')
  const found = /^write_bytes: (\d+)$/m.exec(io)?.[1]
  return found === undefined ? null : Number(found)
}
