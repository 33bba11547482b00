/** Judges segments before they are opened, saves what can be read of damaged ones, and puts the rest where a person can look. */
import { checkStore } from '../storage/level-files/check-store.ts'
import { quarantine } from '../storage/quarantine.ts'
import { DamagedSegmentError } from './damaged-segment.ts'
import type { Hole } from './manifest.ts'
import type { LogPartition } from './partition.ts'
import { indexFile, type Segment, segmentDirectory } from './segment.ts'
import { type SalvagedSegment, salvageSegment } from './segment-salvage.ts'
import { type ChainFiles, quarantineOf } from './segment-store.ts'

export class SegmentRepair {
  readonly #files: ChainFiles
  readonly #partitions: ReadonlyMap<number, LogPartition>

  constructor(files: ChainFiles, partitions: ReadonlyMap<number, LogPartition>) {
    this.#files = files
    this.#partitions = partitions
  }

  /** @returns null where LevelDB can open it; what is damaged in it then is passed over when it is read */
  async judge(segment: Segment): Promise<DamagedSegmentError | null> {
    const { disk, directory, counters, log } = this.#files
    const path = segmentDirectory(directory, segment.id)
    const { verdict, findings } = await checkStore(disk, path, { depth: 'blocks' })
    if (verdict === 'salvage') return new DamagedSegmentError(segment, findings)
    for (const { kind, file, at } of findings) {
      if (kind !== 'block-checksum') continue
      counters.faults++
      log.error('a part of the log is damaged; what is whole of it is read', {
        segment: segment.id,
        file,
        at,
      })
    }
    return null
  }

  /** @param id of the segment that takes its place, once the manifest says so */
  salvage({ segment, findings }: DamagedSegmentError, id: string): Promise<SalvagedSegment> {
    const kinds = [...new Set(findings.map(({ kind }) => kind))].join(', ')
    const fields = { segment: segment.id, kinds }
    this.#files.log.error('a segment is damaged; what can be read of it is saved', fields)
    return salvageSegment(this.#files, segment, id, Date.now())
  }

  /** The manifest names its successor: the damaged one goes to the quarantine. */
  async putAway({ segment, findings }: DamagedSegmentError, salvaged: SalvagedSegment): Promise<void> {
    const { disk, directory, log, counters } = this.#files
    const { holes, lost, lostBytes } = salvaged
    counters.salvagedSegments++
    this.tell(holes)
    const path = segmentDirectory(directory, segment.id)
    if ((await disk.list(path)).length > 0) {
      const what = `segment ${segment.id} was damaged: ${lostBytes} bytes could not be read`
      await quarantine(disk, path, quarantineOf(this.#files), { what, findings, lost }, log)
    }
    await disk.remove(indexFile(directory, segment.id))
  }

  tell(holes: readonly Hole[]): void {
    const { counters, log } = this.#files
    for (const { id, from, to, reason } of holes) {
      const partition = this.#partitions.get(id)
      const place = { stream: partition?.stream, partition: partition?.partition, from, to }
      counters.lostOffsets += to - from
      log.error('records are lost', { ...place, reason })
    }
  }
}
