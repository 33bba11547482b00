/**
 * What the write-ahead files hold, in the order of internal keys. They are read into memory: LevelDB's write buffer bounds them, but for
 * the last write of each.
 */
import { join } from 'node:path'
import type { EntrySource, SourceEntry } from './entry-source.ts'
import type { FindingKind } from './findings.ts'
import { compareInternal, internalKeyOf } from './internal-key.ts'
import type { NumberedFile } from './layout.ts'
import { type LogPiece, readLogFile } from './log-file.ts'
import type { SourceOptions } from './table-source.ts'
import { TolerantFile } from './tolerant-file.ts'
import { decodeBatch } from './write-batch.ts'

export class LogSource implements EntrySource {
  readonly lowerBound = internalKeyOf(Buffer.alloc(0), Number.MAX_SAFE_INTEGER, true)
  readonly #entries: readonly SourceEntry[]
  #at = 0

  private constructor(entries: readonly SourceEntry[]) {
    this.#entries = entries
  }

  /** @returns the newest sequence as well, -1 where there is none */
  static async read(
    logs: readonly NumberedFile[],
    options: Omit<SourceOptions, 'sequenceMax'>,
  ): Promise<{ source: LogSource; sequenceMax: number }> {
    const reader = new LogReader(options)
    for (const { name } of logs) await reader.read(name)
    reader.settle(null)
    reader.entries.sort((a, b) =>
      compareInternal(a.internalKey, a.internalKey.length, b.internalKey, b.internalKey.length),
    )
    return { source: new LogSource(reader.entries), sequenceMax: reader.sequenceMax }
  }

  get head(): SourceEntry | null {
    return this.#entries[this.#at] ?? null
  }

  async open(): Promise<void> {}

  next(): undefined {
    this.#at++
  }

  async close(): Promise<void> {}
}

class LogReader {
  readonly entries: SourceEntry[] = []
  sequenceMax = -1
  readonly #options: Omit<SourceOptions, 'sequenceMax'>
  #lastKey: Buffer | null = null
  /** Damage that waits for the key behind it. */
  #damage: { cause: FindingKind; file: string; at: number; bytes: number; from: Buffer | null }[] = []

  constructor(options: Omit<SourceOptions, 'sequenceMax'>) {
    this.#options = options
  }

  async read(name: string): Promise<void> {
    const { disk, directory, report } = this.#options
    const file = await TolerantFile.open(disk, join(directory, name), name)
    report.logs++
    if (file === undefined || file.isLost) {
      this.#lose('unreadable', name, { at: 0, end: 0 })
      return
    }
    try {
      for await (const piece of readLogFile(file)) {
        if (piece.kind === 'record') this.#take(name, piece)
        else if (file.isUnreadable(piece.at, piece.end)) this.#lose('unreadable', name, piece)
        else if (piece.kind === 'damage') this.#lose('wal-damaged', name, piece)
        else this.#lose(piece.isZeros ? 'wal-zeros' : 'wal-torn', name, piece)
      }
    } finally {
      await file.close()
    }
  }

  #take(name: string, piece: LogPiece & { kind: 'record' }): void {
    const { changes, lastSequence, fault } = decodeBatch(Buffer.from(piece.bytes))
    if (fault !== null) {
      this.#lose('wal-foreign', name, piece)
      return
    }
    this.sequenceMax = Math.max(this.sequenceMax, lastSequence)
    for (const { key, value, sequence } of changes) {
      this.settle(key)
      this.#lastKey = key
      this.entries.push({ internalKey: internalKeyOf(key, sequence, value !== undefined), value })
    }
  }

  #lose(cause: FindingKind, file: string, { at, end }: { at: number; end: number }): void {
    this.#damage.push({ cause, file, at, bytes: end - at, from: this.#lastKey })
  }

  /** @param nextKey the first that was written behind the damage, null where there is none */
  settle(nextKey: Buffer | null): void {
    for (const damage of this.#damage.splice(0))
      this.#options.report.add({ ...damage, to: nextKey, isByWriting: true })
  }
}
