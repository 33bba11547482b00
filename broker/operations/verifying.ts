/** The verification and the repair of all that a data directory holds: the log, then its tables against it. */
import type { RepairReport } from '../log/repair.ts'
import type { VerifyProgress, VerifyReport } from '../log/verify.ts'
import type { TableVerifyProgress, TableVerifyReport } from '../tables/table-verification.ts'
import type { Tables } from '../tables/tables.ts'
import type { ReadableLog } from './operations.ts'
import { type Base64, textOf } from './record-json.ts'

export type FullProgress = VerifyProgress | TableVerifyProgress

/** `headwater log verify` as JSON. */
export interface FullReport extends VerifyReport {
  readonly tables: readonly VerifiedTable[]
}

export interface VerifiedTable extends Omit<TableVerifyReport, 'problems'> {
  readonly problems: readonly { readonly key: string | Base64 | null; readonly reason: string }[]
}

/** `headwater log repair` as JSON. */
export interface FullRepair extends RepairReport {
  /** Streams whose table was not what the log says, and was built again. */
  readonly rebuiltTables: readonly string[]
}

export async function verifyAll(
  log: ReadableLog,
  tables: Tables | undefined,
  onProgress: (progress: FullProgress) => void,
): Promise<FullReport> {
  const report = await log.verify(onProgress)
  const verified = (await tables?.verify(onProgress)) ?? []
  return {
    ...report,
    isWhole: report.isWhole && verified.every(({ isWhole }) => isWhole),
    tables: verified.map(({ problems, ...table }) => ({
      ...table,
      problems: problems.map(({ key, reason }) => ({ key: textOf(key), reason })),
    })),
  }
}

export async function repairAll(
  log: ReadableLog,
  tables: Tables | undefined,
  onProgress: (progress: FullProgress) => void,
): Promise<FullRepair> {
  const report = await log.repair(onProgress)
  const rebuiltTables: string[] = []
  for (const { stream, isWhole } of (await tables?.verify(onProgress)) ?? []) {
    if (isWhole) continue
    tables?.rebuild(stream, 'it is not what the log says')
    await tables?.whenBuilt(stream)
    rebuiltTables.push(stream)
  }
  return { ...report, rebuiltTables }
}
