/** What is brought back of damaged files. */
import { expect } from 'vitest'
import type { SalvageReport } from '../../../../broker/storage/level-files/salvage-report.ts'
import { type SalvageOptions, salvageStore } from '../../../../broker/storage/level-files/salvage-store.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { place, type Source } from './support.ts'

export interface Salvaged {
  /** By key in hex. */
  readonly found: ReadonlyMap<string, Buffer>
  readonly report: SalvageReport
}

export async function salvage(
  root: string,
  files: ReadonlyMap<string, Buffer>,
  options: SalvageOptions = {},
  disk: Disk = nodeDisk,
): Promise<Salvaged> {
  const salvaged = salvageStore(disk, place(root, 'case', files), options)
  const found = new Map<string, Buffer>()
  for await (const { key, value } of salvaged) found.set(key.toString('hex'), value)
  expect([...found.keys()]).toEqual([...found.keys()].toSorted())
  expect(salvaged.report.entries).toBe(found.size)
  return { found, report: salvaged.report }
}

/** Commits that are not there, or not as they were written. */
export function missing(source: Source, { found }: Salvaged): number[] {
  return [...source.truth]
    .filter(([key, value]) => found.get(key)?.equals(value) !== true)
    .map(([key]) => Number.parseInt(key.slice(0, 16), 16))
}
