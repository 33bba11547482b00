/**
 * Whose log a data directory holds: `headwater.json`, with a copy among the facts.
 *
 *   identity := JSON { "format": 1, "edge", "incarnation", "createdAt", …, "crc" } "\n"
 *   crc      := 8 hex digits, the CRC-32C of JSON.stringify of all other fields in their order
 *
 * On disk: a later format keeps `format` and `crc`, so that every version can tell a newer one from a damaged one: a flipped bit makes
 * another number of 1. Files of before there was a `crc` are read as well; the next start gives them one.
 */
import { crc32c } from './crc32c.ts'

/** On disk: raised when an older Headwater could not read what a newer one wrote. */
export const DATA_FORMAT = 1

export interface Identity {
  readonly format: number
  readonly edge: string
  readonly incarnation: string
  readonly createdAt: string
  /** Of a log that came out of a backup: whose it was, and when. */
  readonly restoredFrom?: { readonly edge: string; readonly incarnation: string; readonly takenAt: string }
}

export type StoredIdentity =
  | { readonly kind: 'whole'; readonly identity: Identity; readonly hasCrc: boolean }
  | { readonly kind: 'newer'; readonly format: number }
  | { readonly kind: 'damaged'; readonly reason: string }

export function encodeIdentity(identity: Identity): Buffer {
  return Buffer.from(`${JSON.stringify({ ...identity, crc: crcOf(identity) }, null, 2)}\n`)
}

export function decodeIdentity(bytes: Uint8Array): StoredIdentity {
  let fields: Record<string, unknown>
  try {
    fields = (JSON.parse(Buffer.from(bytes).toString('utf8')) ?? {}) as Record<string, unknown>
  } catch {
    return { kind: 'damaged', reason: 'it is not JSON' }
  }
  const { crc, ...identity } = fields
  const { format, edge, incarnation, createdAt } = identity
  const hasCrc = crc !== undefined
  if (hasCrc && crc !== crcOf(identity)) return { kind: 'damaged', reason: 'its checksum is wrong' }
  if (Number.isInteger(format) && (format as number) > DATA_FORMAT)
    return { kind: 'newer', format: format as number }
  const texts = [edge, incarnation, createdAt]
  if (format !== DATA_FORMAT || texts.some((text) => typeof text !== 'string') || incarnation === '')
    return { kind: 'damaged', reason: 'it lacks format, edge, incarnation or createdAt' }
  return { kind: 'whole', identity: identity as unknown as Identity, hasCrc }
}

export function isSameIdentity(a: Identity, b: Identity): boolean {
  return crcOf(a) === crcOf(b)
}

function crcOf(identity: object): string {
  return crc32c(Buffer.from(JSON.stringify(identity)))
    .toString(16)
    .padStart(8, '0')
}
