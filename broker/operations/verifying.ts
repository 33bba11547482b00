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
  /** Streams whose table could not be built, and why; it is tried again by itself. */
  readonly failedTables: readonly { readonly stream: string; readonly reason: string }[]
}

/** @param signal the report is not waited for any longer */
export async function verifyAll(
  log: ReadableLog,
  tables: Tables | undefined,
  onProgress: (progress: FullProgress) => void,
  signal?: AbortSignal,
): Promise<FullReport> {
  const report = await log.verify(onProgress)
  const verified = (await tables?.verify(onProgress, signal)) ?? []
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
  signal?: AbortSignal,
): Promise<FullRepair> {
  const report = await log.repair(onProgress)
  const rebuiltTables: string[] = []
  const failedTables: { stream: string; reason: string }[] = []
  for (const { stream, isWhole } of (await tables?.verify(onProgress, signal)) ?? []) {
    if (isWhole || signal?.aborted) continue
    tables?.rebuild(stream, 'it is not what the log says')
    try {
      await tables?.whenBuilt(stream, undefined, signal)
      rebuiltTables.push(stream)
    } catch (error) {
      failedTables.push({ stream, reason: (error as Error).message })
    }
  }
  return { ...report, isWhole: report.isWhole && failedTables.length === 0, rebuiltTables, failedTables }
}
