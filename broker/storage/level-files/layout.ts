/**
 * What a LevelDB directory consists of: its files by kind, and the version that its manifest gives. LevelDB goes by CURRENT and the
 * manifest it names; where they are lost or damaged, the newest manifest that is whole still says which tables are live.
 */
import { join } from 'node:path'
import type { Disk } from '../store.ts'
import { type LevelFile, logName, parseName, tableName } from './file-names.ts'
import type { Finding } from './findings.ts'
import { readLogFile } from './log-file.ts'
import { TolerantFile } from './tolerant-file.ts'
import { Version } from './version.ts'

/** CURRENT is 16 bytes and a few digits. */
const CURRENT_BYTES_MAX = 64

export interface NumberedFile {
  readonly name: string
  readonly number: number
}

export interface Layout {
  /** In the order of their numbers. */
  readonly tables: readonly NumberedFile[]
  readonly logs: readonly NumberedFile[]
  /** Of the manifest that is to be believed; null where none is. */
  readonly version: Version | null
  /** What the manifests say, whole or not: which tables and logs were replaced for certain. */
  readonly hints: readonly Version[]
  readonly findings: readonly Finding[]
}

interface Manifest {
  readonly name: string
  readonly version: Version
  /** No edit is missing before the last one that was read. */
  readonly isWhole: boolean
  readonly findings: readonly Finding[]
}

export async function readLayout(disk: Disk, directory: string): Promise<Layout> {
  const names = (await disk.list(directory)).toSorted()
  const files = names.map((name) => ({ name, file: parseName(name) }))
  const of = (kind: LevelFile['kind']) =>
    files
      .flatMap(({ name, file }) =>
        file?.kind === kind && 'number' in file ? [{ name, number: file.number }] : [],
      )
      .toSorted((a, b) => a.number - b.number)
  const findings: Finding[] = files
    .filter(({ file }) => file === undefined)
    .map(({ name }) => ({ kind: 'unknown-file', file: name, reason: 'no file of LevelDB has this name' }))
  const tables = of('table')
  const logs = of('log')
  const manifests: Manifest[] = []
  for (const { name } of of('manifest').toReversed())
    manifests.push(await readManifest(disk, directory, name))
  const named = await readCurrent(disk, directory)
  const current = typeof named === 'string' ? manifests.find(({ name }) => name === named) : undefined
  if (typeof named !== 'string') findings.push(named)
  else if (current === undefined)
    findings.push({ kind: 'manifest-missing', file: named, reason: 'CURRENT names it' })
  else findings.push(...current.findings)
  if (current !== undefined) findings.push(...placeInTime(current, tables, logs))
  // never an older one than the newest: it can fit files that are left of its time
  const believed = current ?? manifests[0]
  const isBelieved = believed?.isWhole === true && !isBehind(believed, tables, logs)
  return {
    tables,
    logs,
    version: isBelieved ? believed.version : null,
    hints: manifests.map(({ version }) => version),
    findings,
  }
}

async function readCurrent(disk: Disk, directory: string): Promise<string | Finding> {
  const file = await TolerantFile.open(disk, join(directory, 'CURRENT'), 'CURRENT')
  if (file === undefined) return { kind: 'current-missing', file: 'CURRENT', reason: 'there is none' }
  try {
    const text = (await file.read(0, CURRENT_BYTES_MAX)).toString('latin1')
    const name = /^(MANIFEST-\d+)\n$/.exec(text)?.[1]
    if (name !== undefined && file.size === text.length) return name
    return { kind: 'current-damaged', file: 'CURRENT', reason: 'it does not name a manifest' }
  } finally {
    await file.close()
  }
}

async function readManifest(disk: Disk, directory: string, name: string): Promise<Manifest> {
  const version = new Version()
  const findings: Finding[] = []
  let isWhole = true
  const file = await TolerantFile.open(disk, join(directory, name), name)
  if (file === undefined || file.isLost) {
    const finding: Finding = { kind: 'manifest-damaged', file: name, reason: 'it cannot be opened' }
    return { name, version, isWhole: false, findings: [finding] }
  }
  try {
    for await (const piece of readLogFile(file)) {
      const place = { file: name, at: piece.at, bytes: piece.end - piece.at }
      if (piece.kind === 'record') {
        const fault = version.apply(piece.bytes)
        if (fault === null) continue
        isWhole = false
        findings.push({ kind: 'manifest-damaged', ...place, reason: fault })
      } else if (piece.kind === 'tail' && piece.isSilent) {
        findings.push({ kind: 'manifest-torn', ...place, reason: 'its last edit was cut short' })
      } else {
        // at its end an edit was cut short: those before it are the version still
        isWhole &&= piece.kind === 'tail'
        findings.push({ kind: 'manifest-damaged', ...place, reason: 'an edit cannot be read' })
      }
    }
  } finally {
    await file.close()
  }
  const { fault } = version
  if (fault !== null) findings.push({ kind: 'manifest-damaged', file: name, reason: fault })
  return { name, version, isWhole: isWhole && fault === null, findings }
}

/**
 * True where the manifest is older than the directory. Its log goes with the edit that makes it needless, and a table with the one
 * that replaces it: one of them missing beside a table that no edit has named is an edit that was lost.
 */
function isBehind(
  { version }: Manifest,
  tables: readonly NumberedFile[],
  logs: readonly NumberedFile[],
): boolean {
  if (tables.every(({ number }) => version.named.has(number))) return false
  return isLogMissing(version, logs) || version.live.some((table) => !hasNumber(tables, table.number))
}

function isLogMissing({ log }: Version, logs: readonly NumberedFile[]): boolean {
  // 0: the first manifest of a new store
  return log !== null && log > 0 && !hasNumber(logs, log)
}

function hasNumber(files: readonly NumberedFile[], number: number): boolean {
  return files.some((file) => file.number === number)
}

/**
 * What the manifest that CURRENT names says of the files that are there. A table that it does not list is nothing to tell of: LevelDB
 * leaves one behind whenever it is closed while it writes one, and removes it when it opens.
 */
function placeInTime(
  manifest: Manifest,
  tables: readonly NumberedFile[],
  logs: readonly NumberedFile[],
): Finding[] {
  const { version, name } = manifest
  if (!manifest.isWhole) return []
  const findings: Finding[] = []
  if (isBehind(manifest, tables, logs))
    findings.push({
      kind: 'manifest-behind',
      file: name,
      reason: 'it lacks the edits that name the newest tables',
    })
  if (isLogMissing(version, logs))
    findings.push({ kind: 'wal-missing', file: logName(version.log!), reason: 'the manifest names it' })
  for (const { number, size } of version.live)
    if (!hasNumber(tables, number))
      findings.push({
        kind: 'table-missing',
        file: tableName(number),
        bytes: size,
        reason: 'the manifest lists it',
      })
  return findings
}
