/** Who may read and write what the broker keeps and what it is told: data directory, configuration, secrets. */

import { type Finding, fault, none, ok, warning } from './finding.ts'
import type { FileFacts, Machine } from './machine.ts'

const ITEM = 'permissions'
const OTHERS_WRITE = 0o002
const OTHERS_READ = 0o004
const GROUP_READ = 0o040
const OWNER_READ = 0o400
const ROOT = 0
/** Keys of the configuration whose value is a file with a secret in it, at any depth. */
const SECRET_FILE_KEY = /^(key|.*[pP]assword|token|creds|nkey|clientSecret)File$/
/** And those whose value is the secret. */
const SECRET_KEY = /^(.*[pP]assword|token|clientSecret)$/

export interface Guarded {
  readonly dataDirectory: string
  /** null without one. */
  readonly configFile: string | null
  readonly config: object
  /** Of the user that the broker runs as, where that is known. */
  readonly brokerUid: number | null
}

export async function examinePermissions(machine: Machine, guarded: Guarded): Promise<Finding[]> {
  const findings: Finding[] = []
  const data = await machine.facts(guarded.dataDirectory)
  if (data === null) findings.push(none(ITEM, `${guarded.dataDirectory} is not there yet`))
  else findings.push(...directoryFindings(guarded.dataDirectory, data, guarded.brokerUid))
  const uid = guarded.brokerUid ?? data?.uid ?? machine.uid
  const reader = { uid, gid: data?.gid ?? null }
  if (guarded.configFile !== null) {
    const facts = await machine.facts(guarded.configFile)
    if (facts !== null) findings.push(...configFindings(guarded.configFile, facts, guarded.config, reader))
  }
  for (const [key, file] of secretFiles(guarded.config)) {
    findings.push(...secretFindings(key, file, await machine.facts(file), reader))
  }
  if (findings.length > 0) return findings
  return [ok(ITEM, 'data directory, configuration and secrets are kept from others')]
}

interface Reader {
  readonly uid: number
  /** Of the data directory: the broker's own, as a rule. */
  readonly gid: number | null
}

function directoryFindings(directory: string, { mode, uid }: FileFacts, brokerUid: number | null): Finding[] {
  if ((mode & OTHERS_WRITE) !== 0) {
    return [fault(ITEM, `everybody may write in ${directory}`, `chmod o-rwx ${directory}`)]
  }
  if (brokerUid !== null && brokerUid !== ROOT && uid !== brokerUid) {
    const what = `${directory} belongs to user ${uid}, and the broker runs as user ${brokerUid}`
    return [fault(ITEM, what, `chown -R ${brokerUid} ${directory}`)]
  }
  if ((mode & OTHERS_READ) !== 0) {
    return [warning(ITEM, `everybody may read ${directory}, with all records`, `chmod o-rwx ${directory}`)]
  }
  return []
}

function configFindings(
  file: string,
  { mode, ...facts }: FileFacts,
  config: object,
  reader: Reader,
): Finding[] {
  if ((mode & OTHERS_WRITE) !== 0) {
    return [fault(ITEM, `everybody may write ${file}`, `chmod o-w ${file}`)]
  }
  const found: Finding[] = []
  if (!mayRead({ mode, ...facts }, reader)) {
    found.push(
      fault(ITEM, `the broker's user ${reader.uid} cannot read ${file}`, `chown ${reader.uid} ${file}`),
    )
  }
  const [secret] = entriesOf(config, SECRET_KEY)
  if (secret !== undefined && (mode & OTHERS_READ) !== 0) {
    const todo = `chmod o-r ${file}, and better name a file (${secret[0]}File)`
    found.push(fault(ITEM, `everybody may read ${file}, and ${secret[0]} stands in it`, todo))
  }
  return found
}

function secretFindings(key: string, file: string, facts: FileFacts | null, reader: Reader): Finding[] {
  if (facts === null) {
    return [
      fault(
        ITEM,
        `${key}: ${file} is not there, or cannot be seen`,
        'put it there, or correct the configuration',
      ),
    ]
  }
  if ((facts.mode & (OTHERS_READ | OTHERS_WRITE)) !== 0) {
    return [fault(ITEM, `${key}: everybody may read ${file}`, `chmod o-rwx ${file}`)]
  }
  if (!mayRead(facts, reader)) {
    const what = `${key}: the broker's user ${reader.uid} cannot read ${file}`
    return [fault(ITEM, what, `chown ${reader.uid} ${file}, or give it the broker's group`)]
  }
  return []
}

function mayRead({ mode, uid, gid }: FileFacts, reader: Reader): boolean {
  if (reader.uid === ROOT) return true
  if (uid === reader.uid) return (mode & OWNER_READ) !== 0
  if (gid === reader.gid) return (mode & GROUP_READ) !== 0
  return (mode & OTHERS_READ) !== 0
}

function secretFiles(config: object): [key: string, file: string][] {
  return entriesOf(config, SECRET_FILE_KEY)
}

function entriesOf(value: unknown, keys: RegExp, found: [string, string][] = []): [string, string][] {
  if (typeof value !== 'object' || value === null) return found
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry === 'string' && keys.test(key)) found.push([key, entry])
    else entriesOf(entry, keys, found)
  }
  return found
}
