/** The catalog of a log that is opened, whatever became of its file. */
import { join } from 'node:path'
import { CorruptLogError } from '../errors.ts'
import type { LogSink } from '../log-sink.ts'
import { quarantine } from '../storage/quarantine.ts'
import type { Disk } from '../storage/store.ts'
import { CATALOG_FILE, type CatalogStream, MAIN_CHAIN, readCatalog, writeCatalog } from './catalog.ts'
import type { Chain } from './chain.ts'
import type { RecoveryCounters } from './recovery-counters.ts'
import { recoverCatalog } from './segment-survey.ts'

/** From its file, or, where that is lost, from what the log's segments know. */
export async function knownCatalog(
  disk: Disk,
  directory: string,
  counters: RecoveryCounters,
  log: LogSink,
): Promise<readonly CatalogStream[]> {
  let fault: unknown = null
  const catalog = await readCatalog(disk, directory).catch((error) => {
    fault = error
    return []
  })
  if (catalog.length > 0) return catalog
  const recovered = await recoverCatalog(disk, directory)
  if (recovered === null) {
    if (fault !== null) throw fault
    return []
  }
  const path = join(directory, CATALOG_FILE)
  if (fault !== null)
    await quarantine(disk, path, join(directory, 'quarantine'), { what: String(fault) }, log)
  await writeCatalog(disk, directory, recovered)
  counters.rebuiltManifests++
  log.error('the catalog of streams was lost; it was made again from the log', { streams: recovered.length })
  return recovered
}

/** The names of the chains that these streams need. */
export function chainsOf(streams: readonly CatalogStream[]): Set<string> {
  return new Set([MAIN_CHAIN, ...streams.map(({ chain }) => chain)])
}

/** Without the catalog nobody knows which stream a record is of; new streams would get their ids. */
export function refuseLostCatalog(directory: string, chains: Iterable<Chain>): void {
  for (const chain of chains) {
    if ([...chain.partitions.values()].every(({ durableOffset }) => durableOffset === 0)) continue
    const reason = 'it is missing beside a log that holds records; restore it from a backup'
    throw new CorruptLogError(join(directory, CATALOG_FILE), reason)
  }
}
