/** The log as the broker opens it, without the broker. */
import { EventLog } from '../../../broker/log/event-log.ts'
import { silentSink } from '../../../broker/log-sink.ts'
import { openDataDirectory } from '../../../broker/storage/data-directory.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { STREAM } from './job.ts'

const MEBIBYTE = 1024 * 1024
/** The defaults of the configuration. */
const SETTINGS = {
  segmentBytes: 32 * MEBIBYTE,
  admittedBytesMax: 4 * MEBIBYTE,
  writeBufferBytes: 4 * MEBIBYTE,
}

export interface OpenedLog {
  readonly log: EventLog
  close(): Promise<void>
}

/** @param partitions of the bench's one stream; 0 where the directory has it */
export async function openBenchLog(directory: string, partitions = 0): Promise<OpenedLog> {
  const data = await openDataDirectory(nodeDisk, directory, { name: 'bench', isExplicit: true })
  const streams = partitions === 0 ? [] : [{ name: STREAM, partitions }]
  const log = await EventLog.open(nodeDisk, data, { streams, ...SETTINGS }, silentSink)
  const close = async () => {
    await log.close()
    await data.facts.close()
  }
  return { log, close }
}
