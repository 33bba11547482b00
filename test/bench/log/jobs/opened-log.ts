/** The log as the broker opens it, without the broker. */
import type { StreamDefinition } from '../../../../broker/log/catalog.ts'
import { EventLog } from '../../../../broker/log/event-log.ts'
import { DEFAULT_POLICY } from '../../../../broker/log/stream-policy.ts'
import { silentSink } from '../../../../broker/log-sink.ts'
import { openDataDirectory } from '../../../../broker/storage/data-directory.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import type { StreamShape } from '../job.ts'

const MEBIBYTE = 1024 * 1024
/** Whose logs these are. */
export const EDGE = 'bench'
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

/** @param streams none where the directory has them and they keep all they have */
export async function openBenchLog(
  directory: string,
  streams: readonly StreamShape[] = [],
  disk: Disk = nodeDisk,
): Promise<OpenedLog> {
  const data = await openDataDirectory(disk, directory, { name: EDGE, isExplicit: true })
  const options = { streams: streams.map(definitionOf), ...SETTINGS }
  const log = await EventLog.open(disk, data, options, silentSink)
  const close = async () => {
    await log.close()
    await data.facts.close()
  }
  return { log, close }
}

function definitionOf({
  name,
  partitions,
  retentionBytes,
  isCompacted = false,
}: StreamShape): StreamDefinition {
  const policy = {
    ...DEFAULT_POLICY,
    deletes: !isCompacted,
    compacts: isCompacted,
    retentionBytes: retentionBytes ?? null,
  }
  return { name, partitions, policy }
}
