/** A log for tests: opened on any disk, appended to by values, read back as plain records. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { CommitState } from '../../../broker/log/commit-state.ts'
import { EventLog, type EventLogOptions } from '../../../broker/log/event-log.ts'
import { NO_HEADERS, readRecords } from '../../../broker/log/record-batch.ts'
import type { LogCursor, StoredBatch } from '../../../broker/log/source.ts'
import type { LogSink } from '../../../broker/log-sink.ts'
import type { DataDirectory } from '../../../broker/storage/data-directory.ts'
import { noDirectoryRecovery } from '../../../broker/storage/directory-recovery.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'

/** Where a log lies on a disk in memory. */
export const MEMORY_PATH = '/data'

export interface LogOptions extends Partial<EventLogOptions> {
  readonly path?: string
  readonly sink?: LogSink
  readonly states?: CommitState[]
  /** In their place, where each chain has its own. */
  readonly statesOf?: (chain: string) => CommitState[]
}

const DEFAULTS: EventLogOptions = {
  streams: [{ name: 'events', partitions: 2 }],
  segmentBytes: 1e9,
  admittedBytesMax: 1e9,
  writeBufferBytes: 64 * 1024,
}

let open = new Set<EventLog>()
const disks = new Set<FaultyDisk>()
const directories: string[] = []

afterEach(async () => {
  for (const disk of disks) disk.heal()
  disks.clear()
  const logs = [...open]
  open = new Set()
  await Promise.all(logs.map((log) => log.close()))
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

/** A directory that is removed after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-log-'))
  directories.push(directory)
  return directory
}

/** Opens a log; it is closed after the test where the test did not. */
export async function openLog(disk: Disk, options: LogOptions = {}): Promise<EventLog> {
  const {
    path = MEMORY_PATH,
    sink = new RecordingSink(),
    states = [],
    statesOf = () => states,
    ...rest
  } = options
  const data: DataDirectory = {
    path,
    identity: { format: 1, edge: 'edge-1', incarnation: 'incarnation-1', createdAt: '' },
    facts: undefined as never,
    recovery: noDirectoryRecovery(),
  }
  if (disk instanceof FaultyDisk) disks.add(disk)
  await disk.makeDirectory(path)
  const log = await EventLog.open(disk, data, { ...DEFAULTS, ...rest }, sink, statesOf)
  open.add(log)
  return log
}

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Record<string, unknown>
}

export class RecordingSink implements LogSink {
  readonly lines: LogLine[] = []
  info(message: string, fields = {}): void {
    this.lines.push({ level: 'info', message, fields })
  }
  warn(message: string, fields = {}): void {
    this.lines.push({ level: 'warn', message, fields })
  }
  error(message: string, fields = {}): void {
    this.lines.push({ level: 'error', message, fields })
  }
  matching(text: string): LogLine[] {
    return this.lines.filter(({ message }) => message.includes(text))
  }
}

/** Appends values and resolves once their commit is on disk; rejects with the commit's error. */
export function append(
  log: EventLog,
  partition: number,
  values: readonly string[],
  options: { stream?: string; timestamp?: number } = {},
): Promise<void> {
  const { chain, partitions } = log.stream(options.stream ?? 'events')
  for (const value of values) {
    chain.append(
      partitions[partition]!,
      options.timestamp ?? 1000,
      Buffer.from(`key of ${value}`),
      Buffer.from(value),
      NO_HEADERS,
    )
  }
  return committed(log, options.stream)
}

/** Resolves once all that was appended is on disk. */
export function committed(log: EventLog, stream = 'events'): Promise<void> {
  return new Promise((resolve, reject) => {
    log.stream(stream).chain.onCommit((error) => (error === null ? resolve() : reject(error)))
  })
}

/** `offset:value` of each record, after a check that the batches follow one another. */
export function recordsOf(batches: readonly StoredBatch[], fromOffset = 0): string[] {
  const records: string[] = []
  for (const batch of batches) {
    for (const { offset, value } of readRecords(batch.bytes)) {
      if (offset >= fromOffset) records.push(`${offset}:${value?.toString()}`)
    }
  }
  return records
}

/** Reads a partition to its durable end, step by step. */
export async function readAll(
  log: EventLog,
  partition: number,
  options: { stream?: string; from?: number; bytesMax?: number } = {},
): Promise<string[]> {
  const { stream = 'events', from = 0, bytesMax = 4096 } = options
  const records: string[] = []
  let at = from
  for (;;) {
    const batches = await log.read(stream, partition, at, bytesMax)
    if (batches.length === 0) return records
    const next = batches.at(-1)!.nextOffset
    if (next <= at) throw new Error(`a read from ${at} ended at ${next}`)
    records.push(...recordsOf(batches, at))
    at = next
  }
}

/** Reads a cursor until it has caught up: records by `stream/partition`. */
export async function drain(cursor: LogCursor, bytesMax = 4096): Promise<Map<string, string[]>> {
  const records = new Map<string, string[]>()
  for (;;) {
    const batches = await cursor.next(bytesMax)
    if (batches.length === 0) return records
    for (const batch of batches) {
      const key = `${batch.stream}/${batch.partition}`
      records.set(key, [...(records.get(key) ?? []), ...recordsOf([batch])])
    }
  }
}

/** Waits for a condition, checked at every turn of the event loop. */
export async function until(condition: () => boolean, what: string, limitMs = 10_000): Promise<void> {
  const deadline = Date.now() + limitMs
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`in ${limitMs} ms it did not come true that ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
