/**
 * Opens the store of facts, whatever became of its files. The names in the data directory tell how far an earlier start came:
 *
 *   facts/            the store
 *   facts.salvaged/   what could be read of a damaged `facts/`; whole once `facts/` is gone
 *   facts.guard/      an empty store whose LOCK keeps a second start from mending the same store; `facts/` itself has to be closed for it
 *
 * | found                                    | done                                                                       |
 * |------------------------------------------|----------------------------------------------------------------------------|
 * | `facts/`, LevelDB can open it            | opened                                                                     |
 * | no `facts/`, or nothing in it yet        | made; counted and told where there is an identity or a log                 |
 * | `facts/` damaged                         | 1 its entries to `facts.salvaged/`, fsynced; 2 it goes to quarantine;      |
 * |                                          | 3 `facts.salvaged/` gets its name; counted and told                        |
 * | `facts.salvaged/` beside `facts/`        | a cut before 2: it may be half of it, and is removed; begun again if need be |
 * | `facts.salvaged/` alone                  | a cut between 2 and 3: done with 3; counted and told                       |
 * | `facts.guard/`                           | a cut anywhere in between: removed at the end                              |
 *
 * What is judged must not be in use: LevelDB changes its files at any time. So a store that is found damaged is first asked for its lock,
 * and then judged again. Nothing is changed before that.
 */
import { join } from 'node:path'
import { DataDirectoryError, DataDirectoryLockedError } from '../errors.ts'
import type { LogSink } from '../log-sink.ts'
import type { DirectoryRecovery } from './directory-recovery.ts'
import { FACT_STORE_OPTIONS, FactStore, isWholeFact } from './fact-store.ts'
import { checkStore } from './level-files/check-store.ts'
import type { Finding } from './level-files/findings.ts'
import type { SalvageReport } from './level-files/salvage-report.ts'
import { salvageStore } from './level-files/salvage-store.ts'
import { quarantine } from './quarantine.ts'
import type { Disk, Store } from './store.ts'

export const FACTS = 'facts'
export const SALVAGED_FACTS = 'facts.salvaged'
const GUARD = 'facts.guard'

const BATCH_BYTES = 64 * 1024
/** A store that was just written and cannot be read is written anew so often: then the disk keeps nothing. */
const TRIES_MAX = 3
/** `facts/` is no directory, or none that the disk can list. */
const UNLISTABLE_CODES = new Set(['ENOTDIR', 'EIO', 'EBADMSG', 'EUCLEAN'])

type Judged =
  | { readonly kind: 'sound' | 'missing' | 'moved' }
  | { readonly kind: 'damaged'; readonly findings: readonly Finding[]; readonly isListable: boolean }

export interface FactsContext {
  readonly disk: Disk
  /** The data directory. */
  readonly path: string
  readonly log: LogSink
  readonly recovery: DirectoryRecovery
  /** There is an identity or a log: there were facts. */
  readonly isExpected: boolean
}

/** @throws DataDirectoryLockedError where another process has the data directory; nothing was changed then. */
export async function openFacts(context: FactsContext): Promise<FactStore> {
  const { disk, path } = context
  try {
    const judged = await judge(disk, path)
    const names = await disk.list(path)
    if (judged.kind === 'missing' || judged.kind === 'sound') {
      if (!names.includes(SALVAGED_FACTS) && !names.includes(GUARD)) return await open(context, judged)
    }
    return await underGuard(context, () => mend(context))
  } catch (error) {
    // the lock is named by the directory that it guards
    throw error instanceof DataDirectoryLockedError ? new DataDirectoryLockedError(path, error.cause) : error
  }
}

async function open({ disk, path, log, recovery, isExpected }: FactsContext, judged: Judged) {
  const facts = await FactStore.open(disk, join(path, FACTS), (name) => {
    recovery.factsDamaged++
    log.error('a fact is damaged, it is as good as missing', { name })
  })
  if (judged.kind === 'missing' && isExpected) {
    recovery.factsMissing++
    log.warn('the store of facts was missing and is made anew: upstreams are asked where they stand')
  }
  return facts
}

async function judge(disk: Disk, path: string): Promise<Judged> {
  const names = await disk.list(path)
  if (!names.includes(FACTS)) return { kind: names.includes(SALVAGED_FACTS) ? 'moved' : 'missing' }
  if (!disk.hasLevelFiles) return { kind: 'sound' }
  const directory = join(path, FACTS)
  let files: string[]
  try {
    files = await disk.list(directory)
  } catch (error) {
    if (!UNLISTABLE_CODES.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return { kind: 'damaged', findings: [], isListable: false }
  }
  // LevelDB makes CURRENT before it writes the first entry
  if (!files.includes('CURRENT') && !files.some((name) => /\.(ldb|sst|log)$/.test(name)))
    return { kind: 'missing' }
  const { verdict, findings } = await checkStore(disk, directory, { depth: 'blocks' })
  return verdict === 'openable' ? { kind: 'sound' } : { kind: 'damaged', findings, isListable: true }
}

/** Keeps every other start from mending until this one has the facts open. */
async function underGuard({ disk, path }: FactsContext, work: () => Promise<FactStore>): Promise<FactStore> {
  if (await disk.isStoreLocked(join(path, FACTS))) throw new DataDirectoryLockedError(path)
  const directory = join(path, GUARD)
  if ((await disk.list(path)).includes(GUARD)) {
    if (await disk.isStoreLocked(directory)) throw new DataDirectoryLockedError(path)
    const { verdict } = await checkStore(disk, directory, { depth: 'blocks' })
    if (verdict === 'salvage') await disk.remove(directory)
  }
  const guard = await disk.openStore(directory, FACT_STORE_OPTIONS)
  try {
    return await work()
  } finally {
    await guard.close()
    await disk.remove(directory)
  }
}

async function mend(context: FactsContext): Promise<FactStore> {
  const { disk, path, log, recovery } = context
  const salvaged = join(path, SALVAGED_FACTS)
  for (let tries = 0; ; tries++) {
    // its user may have closed it since, and then it is whole
    if (await disk.isStoreLocked(join(path, FACTS))) throw new DataDirectoryLockedError(path)
    const judged = await judge(disk, path)
    if (judged.kind === 'moved') {
      await disk.move(salvaged, join(path, FACTS))
      recovery.factsSalvaged++
      log.warn('went on where an earlier start was cut short while it mended the store of facts')
    } else {
      await disk.remove(salvaged)
      if (judged.kind !== 'damaged') return open(context, judged)
      if (tries === TRIES_MAX)
        throw new DataDirectoryError(path, 'the disk does not give back what is written to it', 'replace it')
      await salvage(context, judged, salvaged)
      await disk.move(salvaged, join(path, FACTS))
      recovery.factsSalvaged++
    }
  }
}

/** Leaves the damaged store in quarantine and what could be read of it in `salvaged`. */
async function salvage(
  { disk, path, log }: FactsContext,
  { findings, isListable }: Judged & { kind: 'damaged' },
  salvaged: string,
): Promise<void> {
  const directory = join(path, FACTS)
  const store = await disk.openStore(salvaged, FACT_STORE_OPTIONS)
  let report: SalvageReport | null = null
  try {
    if (isListable) report = await copyReadable(disk, directory, store)
  } finally {
    await store.close()
  }
  await disk.settleStore(salvaged, FACT_STORE_OPTIONS)
  await disk.syncDirectory(path)
  log.error('the store of facts is damaged; what can be read of it goes on in a new one', {
    found: [...new Set(findings.map(({ kind }) => kind))],
    facts: report?.entries ?? 0,
    bytesLost: report?.bytesLost ?? null,
  })
  const why = { what: 'the store of facts is damaged', findings, lost: report?.lost ?? [] }
  await quarantine(disk, directory, join(path, 'quarantine'), why, log)
}

async function copyReadable(disk: Disk, directory: string, to: Store): Promise<SalvageReport> {
  const accept = (key: Buffer, value: Buffer | undefined) => value !== undefined && isWholeFact(key, value)
  const readable = salvageStore(disk, directory, { accept })
  let batch = to.batch()
  let bytes = 0
  for await (const { key, value } of readable) {
    batch.put(key, value)
    bytes += key.length + value.length
    if (bytes < BATCH_BYTES) continue
    await batch.write({ sync: false })
    batch = to.batch()
    bytes = 0
  }
  await batch.write({ sync: false })
  return readable.report
}
