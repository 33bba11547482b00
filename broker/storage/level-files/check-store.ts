/**
 * Judges a LevelDB directory before it is opened. LevelDB as Headwater opens it checks no checksum of a table, removes what its
 * manifest does not list, and is built with its assertions: damage that it does not expect ends the process, and with it the broker,
 * at each start again.
 *
 * | found                                                  | LevelDB                                    | verdict  |
 * |--------------------------------------------------------|--------------------------------------------|----------|
 * | CURRENT, manifest or a live table missing or damaged   | refuses to open                            | salvage  |
 * | a manifest whose last edits are lost                   | opens, removes the tables they named       | salvage  |
 * | footer, index damaged; table cut short                 | reading fails, or ends the process         | salvage  |
 * | filter damaged                                         | lookups miss keys that are there           | salvage  |
 * | block whose entries cannot be read, or out of order    | ends the process, now or in a compaction   | salvage  |
 * | a page that the disk does not give back                | ends the process (SIGBUS)                  | salvage  |
 * | write-ahead file: whole records behind damage          | drops them with the damage                 | salvage  |
 * | block whose checksum is wrong, entries in their places | reads it                                   | openable |
 * | write-ahead file: damage with whole records behind it  | drops it, and what was acknowledged in it  | salvage  |
 * | write-ahead file: torn, zeros at its end               | drops it                                   | openable |
 */
import type { Disk } from '../store.ts'
import { Scratch } from './block-reader.ts'
import { checkLog } from './check-log.ts'
import { checkTable } from './check-table.ts'
import { type Finding, Findings } from './findings.ts'
import { readLayout } from './layout.ts'

export interface StoreReport {
  /**
   * `openable`: LevelDB opens it, reads all that is there, and nothing in what was checked can end the process. At depth `structure`
   * that leaves out the data blocks. `salvage`: it is not to be opened; salvageStore gets out what can be read.
   */
  readonly verdict: 'openable' | 'salvage'
  readonly findings: readonly Finding[]
  /** Findings left out of the list, once that is long. */
  readonly omitted: number
  /** False on a disk whose stores are not LevelDB's files: there is nothing to check. */
  readonly wasChecked: boolean
}

export interface CheckOptions {
  /** `structure`: all but the data blocks of tables. `blocks`: every byte that LevelDB can come to read. */
  readonly depth: 'structure' | 'blocks'
}

/** Reads only. The store must not be open: LevelDB changes its files at any time. */
export async function checkStore(disk: Disk, directory: string, options: CheckOptions): Promise<StoreReport> {
  if (!disk.hasLevelFiles) return { verdict: 'openable', findings: [], omitted: 0, wasChecked: false }
  const findings = new Findings()
  const layout = await readLayout(disk, directory)
  for (const finding of layout.findings) findings.add(finding)
  const { version } = layout
  let newest = -1
  for (const { name, number } of layout.logs) {
    // LevelDB replays no older one
    const isReplayed = version === null || number >= version.log! || number === version.previousLog
    if (isReplayed) newest = await checkLog(disk, directory, name, newest, findings)
  }
  const sequenceMax = Math.max(newest, version?.lastSequence ?? Number.MAX_SAFE_INTEGER)
  const scratch = new Scratch()
  const live = new Map(version?.live.map((table) => [table.number, table]))
  for (const { name, number } of layout.tables) {
    const table = live.get(number)
    // one that no version has is removed by LevelDB, unread
    if (table === undefined) continue
    const tableOptions = { readsBlocks: options.depth === 'blocks', sequenceMax, scratch }
    await checkTable(disk, directory, name, table, tableOptions, findings)
  }
  return {
    verdict: findings.isHard ? 'salvage' : 'openable',
    findings: findings.list,
    omitted: findings.omitted,
    wasChecked: true,
  }
}
