/**
 * The names in a LevelDB directory (db/filename.cc):
 *
 *   CURRENT                      names the manifest, with a line feed behind it
 *   MANIFEST-NNNNNN              which tables are live
 *   NNNNNN.ldb | NNNNNN.sst      a table
 *   NNNNNN.log                   a write-ahead file
 *   NNNNNN.dbtmp                 CURRENT or a manifest before its rename
 *   LOCK | LOG | LOG.old         nothing that is data
 *
 * Numbers have six digits, more where they need them.
 */
export type LevelFile =
  | { readonly kind: 'table' | 'log' | 'manifest' | 'temporary'; readonly number: number }
  | { readonly kind: 'current' | 'lock' | 'information' }

const KINDS = { ldb: 'table', sst: 'table', log: 'log', dbtmp: 'temporary' } as const

/** undefined for a name that LevelDB does not give. */
export function parseName(name: string): LevelFile | undefined {
  if (name === 'CURRENT') return { kind: 'current' }
  if (name === 'LOCK') return { kind: 'lock' }
  if (name === 'LOG' || name === 'LOG.old') return { kind: 'information' }
  const manifest = /^MANIFEST-(\d{6,15})$/.exec(name)
  if (manifest !== null) return numbered('manifest', manifest[1]!)
  const file = /^(\d{6,15})\.(ldb|sst|log|dbtmp)$/.exec(name)
  return file === null ? undefined : numbered(KINDS[file[2] as keyof typeof KINDS], file[1]!)
}

/** LevelDB asks for a file by its number: one with more zeros in front is not found. */
function numbered(kind: 'table' | 'log' | 'manifest' | 'temporary', digits: string): LevelFile | undefined {
  const number = Number(digits)
  return String(number).padStart(6, '0') === digits ? { kind, number } : undefined
}

export function tableName(number: number): string {
  return `${String(number).padStart(6, '0')}.ldb`
}

export function logName(number: number): string {
  return `${String(number).padStart(6, '0')}.log`
}
