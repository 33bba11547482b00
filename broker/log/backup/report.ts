/** What a backup holds, for people and scripts: tallied while it is written, checked or restored. */
import type { Entry } from '../../storage/store.ts'
import { idOf, NOTE_ID } from '../commit-key.ts'
import { baseOffsetOf, batchFault, nextOffsetOf, recordCountOf } from '../record-batch.ts'
import type { Unreadable } from '../whole-commits.ts'
import type { BackupHeader, ChainEnd } from './contents.ts'
import type { BackupItem } from './reader.ts'

export interface BackupPartition {
  readonly stream: string
  readonly partition: number
  /** The first offset in it, below the log start perhaps. */
  readonly fromOffset: number
  /** The offset after the last one in it. */
  readonly toOffset: number
  readonly records: number
}

export interface BackupReport {
  readonly edge: string
  readonly incarnation: string
  /** ISO 8601 */
  readonly takenAt: string
  readonly headwater: string
  /** false: something of the log was damaged when the backup was taken. The backup itself is as it was written. */
  readonly isWhole: boolean
  readonly streams: number
  readonly segments: number
  readonly batches: number
  readonly records: number
  /** Keys and values of the log's entries. */
  readonly bytes: number
  readonly facts: number
  /** Batches and notes that were damaged in the log; they are in the backup as they were. */
  readonly damaged: number
  /** Commits that could not be read in the log; they are not in the backup. */
  readonly unreadable: readonly (Unreadable & { readonly chain: string })[]
  /** Offsets that the log itself knew to be lost when the backup was taken. */
  readonly lostOffsets: number
  readonly partitions: readonly BackupPartition[]
}

interface Tally {
  from: number
  next: number
  records: number
}

export class BackupTally {
  #header: BackupHeader | null = null
  #chain = ''
  readonly #partitions = new Map<number, Tally>()
  readonly #unreadable: (Unreadable & { chain: string })[] = []
  #segments = 0
  #batches = 0
  #damaged = 0
  #facts = 0
  #lostOffsets = 0
  #bytes = 0

  add(item: BackupItem): void {
    switch (item.kind) {
      case 'header':
        this.#header = item.header
        break
      case 'facts':
        this.#facts += item.facts.length
        break
      case 'chain-begin':
        this.#chain = item.begin.name
        break
      case 'segment-begin':
        this.#segments++
        break
      case 'entries':
        for (const entry of item.entries) this.#entry(entry)
        break
      case 'segment-end':
        break
      case 'chain-end':
        this.#chainEnd(item.end)
        break
    }
  }

  /** Of the bytes of the log's entries; the total is the log's at the beginning, or more where more came. */
  get progress(): { bytesDone: number; bytesTotal: number } {
    const expected = this.#header?.chains.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0
    return { bytesDone: this.#bytes, bytesTotal: Math.max(expected, this.#bytes) }
  }

  /** Of a whole backup. */
  report(): BackupReport {
    const { edge, incarnation, takenAt, headwater, streams } = this.#header!
    const partitions = streams.flatMap(({ name, firstId, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => {
        const { from, next, records } = this.#partitions.get(firstId + partition) ?? {
          from: 0,
          next: 0,
          records: 0,
        }
        return { stream: name, partition, fromOffset: from, toOffset: next, records }
      }),
    )
    return {
      edge,
      incarnation,
      takenAt,
      headwater,
      isWhole: this.#damaged === 0 && this.#unreadable.length === 0,
      streams: streams.length,
      segments: this.#segments,
      batches: this.#batches,
      records: [...this.#partitions.values()].reduce((sum, { records }) => sum + records, 0),
      bytes: this.#bytes,
      facts: this.#facts,
      damaged: this.#damaged,
      unreadable: this.#unreadable,
      lostOffsets: this.#lostOffsets,
      partitions,
    }
  }

  #entry({ key, value }: Entry): void {
    this.#bytes += key.length + value.length
    const id = idOf(key)
    if (id === NOTE_ID || batchFault(value) !== null) return
    const tally = this.#partitions.get(id) ?? { from: baseOffsetOf(value), next: 0, records: 0 }
    tally.next = nextOffsetOf(value)
    tally.records += recordCountOf(value)
    this.#partitions.set(id, tally)
    this.#batches++
  }

  #chainEnd(end: ChainEnd): void {
    this.#damaged += end.damaged
    for (const { from, to } of end.facts.holes ?? []) this.#lostOffsets += to - from
    for (const stretch of end.unreadable) this.#unreadable.push({ chain: this.#chain, ...stretch })
  }
}
