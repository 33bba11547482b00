/** Where a chain's segments stand, and how a new one begins. */
import { join } from 'node:path'
import type { LogSink } from '../log-sink.ts'
import type { Disk, Store, StoreOptions } from '../storage/store.ts'
import type { DamageLog } from './damage-log.ts'
import type { RecoveryCounters } from './recovery-counters.ts'
import { segmentDirectory } from './segment.ts'

export interface ChainFiles {
  readonly disk: Disk
  readonly directory: string
  /** That of the whole broker, above. */
  readonly dataDirectory: string
  readonly storeOptions: StoreOptions
  readonly log: LogSink
  readonly counters: RecoveryCounters
  readonly damage: DamageLog
}

/** What a try that was cut short or failed left under this id goes first: nothing in it was acknowledged. */
export async function createSegmentStore(files: ChainFiles, id: string): Promise<Store> {
  const directory = segmentDirectory(files.directory, id)
  await files.disk.remove(directory)
  await files.disk.makeDirectory(directory)
  return files.disk.openStore(directory, { ...files.storeOptions, createIfMissing: true })
}

/** The quarantine of a data directory, from one of its chains. */
export function quarantineOf({ dataDirectory }: ChainFiles): string {
  return join(dataDirectory, 'quarantine')
}
