/** The log of a data directory without a broker. */

import type { BrokerDependencies } from './broker.ts'
import { ChainClocks } from './clock/chain-clocks.ts'
import { WRITE_BUFFER_BYTES } from './configured.ts'
import { NoLogError } from './errors.ts'
import { EventLog } from './log/event-log.ts'
import { silentSink } from './log-sink.ts'
import { Qos2Ids } from './mqtt/qos2.ts'
import { SourcePositions } from './mqtt/source-positions.ts'
import type { OpenedLog } from './operations/operations.ts'
import { isDataDirectory, openDataDirectory } from './storage/data-directory.ts'
import { nodeDisk } from './storage/node-disk.ts'
import { refuseRootOnOthers } from './storage/owner.ts'
import { Tables } from './tables/tables.ts'

/**
 * Opens the log of a data directory that no broker runs on, to read it.
 * @throws DataDirectoryLockedError while one runs; DataDirectoryError where there is no log, or root would open another user's.
 */
export async function openLog(directory: string, dependencies: BrokerDependencies = {}): Promise<OpenedLog> {
  const { disk = nodeDisk, log: sink = silentSink } = dependencies
  if (!(await isDataDirectory(disk, directory))) throw new NoLogError(directory)
  if (disk === nodeDisk) await refuseRootOnOthers(directory)
  const reading = { name: '', isExplicit: false, isReading: true }
  const data = await openDataDirectory(disk, directory, reading, sink)
  const clocks = new ChainClocks(null)
  const options = {
    streams: [],
    segmentBytes: Number.MAX_SAFE_INTEGER,
    admittedBytesMax: WRITE_BUFFER_BYTES,
    writeBufferBytes: WRITE_BUFFER_BYTES,
    isReadOnly: true,
    clockFactsOf: (chain: string) => clocks.factsOf(chain),
  }
  // the same states as a broker's: a backup has them in it
  const statesOf = (chain: string) => [new Qos2Ids(), new SourcePositions(), clocks.stateOf(chain)]
  const log = await EventLog.open(disk, data, options, sink, statesOf).catch(async (error) => {
    await data.facts.close()
    throw error
  })
  const close = log.close.bind(log)
  let tables: Promise<Tables> | undefined
  return Object.assign(log, {
    facts: data.facts,
    tables() {
      const streams = log.streams().map(({ stream }) => stream)
      tables ??= Tables.openStored({ disk, data: data.path, log, sink }, streams)
      return tables
    },
    async close() {
      await (await tables)?.close()
      await close()
      await data.facts.close()
    },
  })
}
