/** A whole data directory for tests: identity, facts and a log with the states of a broker; backed up into memory, restored, compared. */
import { afterEach } from 'vitest'
import { backup } from '../../../../broker/log/backup/backup.ts'
import { readBackup } from '../../../../broker/log/backup/reader.ts'
import { type BackupReport, BackupTally } from '../../../../broker/log/backup/report.ts'
import { type Restored, restoreBackup } from '../../../../broker/log/backup/restore.ts'
import { EventLog, type EventLogOptions } from '../../../../broker/log/event-log.ts'
import { readRecords } from '../../../../broker/log/record-batch.ts'
import { silentSink } from '../../../../broker/log-sink.ts'
import { Qos2Ids } from '../../../../broker/mqtt/qos2.ts'
import { type DataDirectory, openDataDirectory } from '../../../../broker/storage/data-directory.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'

export interface Opened {
  readonly data: DataDirectory
  readonly log: EventLog
  /** By chain. */
  readonly qos2: Map<string, Qos2Ids>
  close(): Promise<void>
}

const OPTIONS: EventLogOptions = {
  streams: [{ name: 'events', partitions: 2 }],
  segmentBytes: 1e9,
  admittedBytesMax: 1e9,
  writeBufferBytes: 64 * 1024,
  // no janitor: what is rewritten and dropped, the tests say
  isReadOnly: true,
}

const open = new Set<Opened>()
const disks = new Set<FaultyDisk>()
afterEach(async () => {
  for (const disk of disks) disk.heal()
  disks.clear()
  for (const opened of [...open]) await opened.close()
})

/** @param path one that is there on the real disk, too: its permissions are looked at. */
export async function openAll(
  disk: Disk,
  path: string,
  options: Partial<EventLogOptions> = {},
): Promise<Opened> {
  if (disk instanceof FaultyDisk) disks.add(disk)
  const data = await openDataDirectory(disk, path, { name: 'line-7', isExplicit: false })
  const qos2 = new Map<string, Qos2Ids>()
  const log = await EventLog.open(disk, data, { ...OPTIONS, ...options }, silentSink, (chain) => {
    const ids = new Qos2Ids()
    qos2.set(chain, ids)
    return [ids]
  }).catch(async (error) => {
    await data.facts.close()
    throw error
  })
  const opened: Opened = {
    data,
    log,
    qos2,
    async close() {
      if (!open.delete(opened)) return
      await log.close()
      await data.facts.close()
    },
  }
  open.add(opened)
  return opened
}

/** In small steps: much can happen between two of them. */
export function backupInSteps({ data, log }: Opened, disk: Disk, stepBytes: number): AsyncGenerator<Buffer> {
  const { path: directory, identity, facts } = data
  return backup({ disk, directory, identity, facts, chains: log.chains(), now: () => 0, stepBytes })
}

export async function* pieced(bytes: Buffer, pieceBytes = bytes.length): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

export async function collect(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const piece of pieces) all.push(Buffer.from(piece))
  return Buffer.concat(all)
}

/** Reads a backup as `backup --verify` does. */
export async function check(bytes: Buffer, pieceBytes?: number): Promise<BackupReport> {
  const tally = new BackupTally()
  for await (const item of readBackup(pieced(bytes, pieceBytes), 'a.hwb')) tally.add(item)
  return tally.report()
}

export const RESTORED_AT = Date.parse('2026-03-01T12:00:00Z')

export function restore(
  disk: Disk,
  path: string,
  bytes: Buffer,
  edge: string | null = null,
): Promise<Restored> {
  return restoreBackup(disk, path, pieced(bytes, 5000), 'a.hwb', {
    edge,
    incarnation: 'incarnation-2',
    now: RESTORED_AT,
    onProgress: () => {},
  })
}

export interface PlainRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
}

/** All records of a partition that can be read. */
export async function recordsIn(log: EventLog, stream: string, partition: number): Promise<PlainRecord[]> {
  const records: PlainRecord[] = []
  for (let at = 0; ; ) {
    const batches = await log.read(stream, partition, at, 64 * 1024)
    const last = batches.at(-1)
    if (last === undefined) return records
    for (const { bytes } of batches) {
      for (const { offset, timestamp, key, value } of readRecords(bytes)) {
        if (offset < at) continue
        records.push({ offset, timestamp, key: key?.toString() ?? null, value: value?.toString() ?? null })
      }
    }
    at = last.nextOffset
  }
}
