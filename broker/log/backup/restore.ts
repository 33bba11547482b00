/**
 * Makes a data directory out of a backup. Each of its segments is made again, sealed, and a new active one follows them whose head
 * says where every partition goes on; so the log starts as after a roll.
 *
 * It is another log from here on, and gets another incarnation: the first one may have gone on after the backup was taken, and upstream
 * may have records of it that are not here. What was known of upstreams' positions is therefore left out.
 */
import { dirname, join } from 'node:path'
import { silentSink } from '../../log-sink.ts'
import { DATA_FORMAT, directoryError, type Identity, writeIdentity } from '../../storage/data-directory.ts'
import { UPSTREAM_FACTS } from '../../storage/fact-store.ts'
import type { Disk } from '../../storage/store.ts'
import { RestoreTarget } from '../../storage/unfinished-restore.ts'
import { writeCatalog } from '../catalog.ts'
import { writeHead } from '../chain-recovery.ts'
import { DamageLog } from '../damage-log.ts'
import { type ManifestSegment, nextSegmentId, writeManifest } from '../manifest.ts'
import type { Head } from '../note.ts'
import { NO_RECOVERY } from '../recovery-counters.ts'
import { type ChainFiles, createSegmentStore } from '../segment-store.ts'
import type { BackupHeader, ChainEnd, Fact } from './contents.ts'
import { type BackupItem, readBackup } from './reader.ts'
import { type BackupReport, BackupTally } from './report.ts'
import { SegmentBuilder } from './segment-builder.ts'

const WRITE_BUFFER_BYTES = 4 * 1024 * 1024

export interface RestoreOptions {
  /** Another name for the edge; null keeps the one it had. */
  readonly edge: string | null
  /** A new UUID. */
  readonly incarnation: string
  /** ms since 1970 */
  readonly now: number
  onProgress(progress: { bytesDone: number; bytesTotal: number }): void
}

export interface Restored {
  readonly identity: Identity
  readonly backup: BackupReport
}

/**
 * @param name of the backup's file, for errors
 * @throws BackupForeignError, BackupDamagedError, DataDirectoryError, DataDirectoryLockedError: nothing has changed then
 */
export async function restoreBackup(
  disk: Disk,
  directory: string,
  pieces: AsyncIterable<Buffer>,
  name: string,
  options: RestoreOptions,
): Promise<Restored> {
  const items = readBackup(pieces, name)
  // what is no backup is refused before the directory is touched
  const first = await items.next()
  if (first.done === true || first.value.kind !== 'header') throw new Error('a backup begins with its header')
  const { header } = first.value
  let target: RestoreTarget | null = null
  const building: { chain: ChainBuilder | null } = { chain: null }
  const tally = new BackupTally()
  tally.add(first.value)
  let identity: Identity
  try {
    target = await RestoreTarget.take(disk, directory)
    for await (const item of items) {
      await build(disk, target, building, item)
      tally.add(item)
      options.onProgress(tally.progress)
    }
    identity = await complete(disk, target, header, options)
  } catch (error) {
    await items.return()
    await building.chain?.abandon()
    await target?.abandon().catch(() => undefined)
    const isOfDisk = typeof (error as { code?: unknown }).code === 'string'
    throw isOfDisk ? directoryError(directory, error) : error
  }
  // it is whole from here on: a marker that stays is removed by the next start
  await target.release().catch(() => undefined)
  return { identity, backup: tally.report() }
}

async function build(
  disk: Disk,
  target: RestoreTarget,
  building: { chain: ChainBuilder | null },
  item: BackupItem,
): Promise<void> {
  switch (item.kind) {
    case 'header':
      break
    case 'facts':
      await target.facts.putAll(item.facts.filter(isKept))
      break
    case 'chain-begin':
      building.chain = new ChainBuilder(disk, target.path, item.begin.name)
      break
    case 'segment-begin':
    case 'entries':
    case 'segment-end':
      await building.chain!.add(item)
      break
    case 'chain-end':
      await building.chain!.finish(item.end, item.head)
      break
  }
}

/** All is there and synced: now the directory becomes a log. */
async function complete(
  disk: Disk,
  { path, facts }: RestoreTarget,
  header: BackupHeader,
  { edge, incarnation, now }: RestoreOptions,
): Promise<Identity> {
  await writeCatalog(disk, path, header.streams)
  const identity: Identity = {
    format: DATA_FORMAT,
    edge: edge ?? header.edge,
    incarnation,
    createdAt: new Date(now).toISOString(),
    restoredFrom: { edge: header.edge, incarnation: header.incarnation, takenAt: header.takenAt },
  }
  await facts.putIdentity(identity)
  await writeIdentity(disk, path, identity)
  return identity
}

function isKept([key]: Fact): boolean {
  return !key.startsWith(UPSTREAM_FACTS)
}

class ChainBuilder {
  readonly #files: ChainFiles
  readonly #segments: ManifestSegment[] = []
  #segment: SegmentBuilder | null = null

  constructor(disk: Disk, dataDirectory: string, name: string) {
    const counters = { ...NO_RECOVERY }
    this.#files = {
      disk,
      directory: join(dataDirectory, 'log', name),
      dataDirectory,
      storeOptions: { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: false },
      log: silentSink,
      counters,
      damage: new DamageLog(silentSink, counters),
    }
  }

  async add(item: BackupItem & { kind: 'segment-begin' | 'entries' | 'segment-end' }): Promise<void> {
    if (item.kind === 'segment-begin') this.#segment = await SegmentBuilder.create(this.#files, item.begin)
    else if (item.kind === 'entries') await this.#segment!.add(item.entries)
    else {
      this.#segments.push(await this.#segment!.finish(item.end))
      this.#segment = null
    }
  }

  async finish({ commit, facts }: ChainEnd, head: Head): Promise<void> {
    const { disk, directory } = this.#files
    const id = nextSegmentId(this.#segments.map((segment) => segment.id))
    const firstCommit = commit + 1
    const store = await createSegmentStore(this.#files, id)
    try {
      await writeHead(store, firstCommit, head)
    } finally {
      await store.close()
    }
    await writeManifest(disk, directory, {
      format: 1,
      segments: [...this.#segments, { id, firstCommit }],
      ...facts,
    })
    await disk.syncDirectory(dirname(directory))
  }

  async abandon(): Promise<void> {
    await this.#segment?.abandon()
  }
}
