/**
 * A store that is read from its files alone, without LevelDB: for a disk that is full. LevelDB makes a table of what a write-ahead
 * file holds before it lets anybody read, and on such a disk it cannot; and what cannot be read cannot be sent, nor make room.
 *
 * The write-ahead files are in memory while it is open (LevelDB's write buffer bounds them). Tables are opened and gone through once for each
 * call, also for a single key: slow, and right for the moments in which nothing else is to be had.
 */
import { AssertionError } from '../../assert.ts'
import { type KeyRange, scanStore } from '../entry-scan.ts'
import type { Disk, Entry, RangeOptions, Store, StoreScan, WriteBatch } from '../store.ts'
import { type BlockKind, type Finding, type FindingKind, isHard } from './findings.ts'
import { userKeyOf } from './internal-key.ts'
import { LogSource } from './log-source.ts'
import { type LostRange, SalvageReport } from './salvage-report.ts'
import { liveFiles, scanTables } from './scan-files.ts'
import { DamagedFilesError } from './table-cursor.ts'
import type { Version } from './version.ts'

/** Entries that are passed over between two turns of others. */
const STEP_BYTES = 128 * 1024

/** The newest that a write-ahead file says of a key; undefined is a deletion. */
interface LogEntry {
  readonly key: Buffer
  readonly value: Buffer | undefined
}

/**
 * @param directory of a store that `checkStore` has found fit, that is not open, and that nobody writes
 * @throws DamagedFilesError, as do its reads: also where a write-ahead file has been damaged since it was found fit
 */
export async function openFilesStore(disk: Disk, directory: string): Promise<Store> {
  const { logs, version } = await liveFiles(disk, directory)
  const report = new SalvageReport()
  const { source } = await LogSource.read(logs, { disk, directory, accept: () => false, report })
  const damage = report.lost.map(findingOf).filter(isHard)
  if (damage.length > 0) throw new DamagedFilesError(directory, damage)
  const entries: LogEntry[] = []
  for (let head = source.head; head !== null; head = source.head) {
    const key = userKeyOf(head.internalKey)
    // the newest of a key comes first
    if (entries.at(-1)?.key.equals(key) !== true) entries.push({ key, value: head.value })
    source.next()
  }
  return new FilesStore(disk, directory, version, entries)
}

/** The least key after it. */
function behind(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.of(0)])
}

/** A write that was cut short is none that `isHard`: LevelDB drops it as well. */
function findingOf({ cause, file, at, bytes }: LostRange): Finding {
  // a write-ahead file has no blocks of a table
  const kind = cause as Exclude<FindingKind, BlockKind>
  return { kind, file, at, bytes, reason: 'it is not what was written' }
}

class FilesStore implements Store {
  readonly #disk: Disk
  readonly #directory: string
  /** Of the time at which it was opened: nobody writes it. */
  readonly #version: Version
  /** In the order of their keys. */
  readonly #logged: readonly LogEntry[]

  constructor(disk: Disk, directory: string, version: Version, logged: readonly LogEntry[]) {
    this.#disk = disk
    this.#directory = directory
    this.#version = version
    this.#logged = logged
  }

  batch(): WriteBatch {
    throw new AssertionError('a store that is read from its files is not written')
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.getMany([key]))[0]
  }

  /** In one pass, however many they are. */
  async getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    const values: (Buffer | undefined)[] = keys.map(() => undefined)
    /** Places of keys that the tables are asked for, in the order of their keys. */
    const asked: number[] = []
    for (const [i, key] of keys.entries()) {
      const entry = this.#logged[this.#place(key)]
      if (entry?.key.equals(key) === true) values[i] = entry.value
      else asked.push(i)
    }
    if (asked.length === 0) return values
    asked.sort((a, b) => Buffer.compare(keys[a]!, keys[b]!))
    const range = { from: keys[asked[0]!]!, to: behind(keys[asked.at(-1)!]!) }
    const scan = scanTables(this.#disk, this.#directory, range, this.#version)
    let at = 0
    const take = (key: Buffer, value: Buffer) => {
      for (; at < asked.length; at++) {
        const order = Buffer.compare(keys[asked[at]!]!, key)
        if (order > 0) return
        if (order === 0) values[asked[at]!] = Buffer.from(value)
      }
    }
    try {
      while ((await scan.next(STEP_BYTES, take)) > 0);
    } finally {
      await scan.close()
    }
    return values
  }

  async range({ from, to, bytesMax }: RangeOptions): Promise<Entry[]> {
    const found: Entry[] = []
    let bytes = 0
    let at = this.#place(from)
    const give = (key: Buffer, value: Buffer | undefined) => {
      if (value === undefined || bytes >= bytesMax) return
      found.push({ key, value })
      bytes += key.length + value.length
    }
    const giveLogged = (before: Buffer) => {
      for (let entry = this.#logged[at]; entry !== undefined; entry = this.#logged[++at]) {
        if (Buffer.compare(entry.key, before) >= 0) return
        give(entry.key, entry.value)
      }
    }
    const scan = scanTables(this.#disk, this.#directory, { from, to }, this.#version)
    try {
      while (bytes < bytesMax) {
        const read = await scan.next(1, (key, value) => {
          giveLogged(key)
          // what was written since counts
          if (this.#logged[at]?.key.equals(key) !== true) give(Buffer.from(key), Buffer.from(value))
        })
        if (read > 0) continue
        giveLogged(to)
        break
      }
    } finally {
      await scan.close()
    }
    return found
  }

  scan(from: Buffer, to: Buffer): StoreScan {
    const range: KeyRange = { from, to }
    const scan = scanStore(this, range)
    return {
      next: async (bytesMax) => {
        const entries: Entry[] = []
        await scan.next(bytesMax, (key, value) => entries.push({ key, value }))
        return entries
      },
      close: () => scan.close(),
    }
  }

  async close(): Promise<void> {}

  /** Of the first entry that does not come before the key. */
  #place(key: Buffer): number {
    let low = 0
    let high = this.#logged.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (Buffer.compare(this.#logged[middle]!.key, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
