/**
 * What a commit remembers besides records. On disk: never change.
 *
 *   value := crc:u32be cbor          crc = CRC-32C of cbor
 *   cbor  := { "states": { name: any, … }?, "head": Head? }
 *   Head  := { "next": [[partitionId, nextOffset], …], "states": { name: snapshot, … } }
 *
 * The first commit of a segment has a head and no records: with it the segment starts the log alone, whatever was
 * removed before it. Later notes hold what the commit's states (commit-state.ts) added.
 */
import { Decoder, Encoder } from 'cbor-x/encode'
import { crc32c } from '../storage/crc32c.ts'

export interface Head {
  readonly next: readonly (readonly [partitionId: number, nextOffset: number])[]
  readonly states: Readonly<Record<string, unknown>>
}

export interface Note {
  readonly states?: Readonly<Record<string, unknown>>
  readonly head?: Head
}

/** Plain CBOR maps, readable by any decoder. */
const encoder = new Encoder({ useRecords: false, mapsAsObjects: true })
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true })

export function encodeNote(note: Note): Buffer {
  const cbor = encoder.encode(note)
  const value = Buffer.allocUnsafe(4 + cbor.length)
  value.writeUInt32BE(crc32c(cbor), 0)
  cbor.copy(value, 4)
  return value
}

/** @returns the note, or what is wrong with it. */
export function decodeNote(value: Buffer): Note | string {
  if (value.length < 5) return `a note of ${value.length} bytes is too short`
  const cbor = value.subarray(4)
  if (crc32c(cbor) !== value.readUInt32BE(0)) return "the note's CRC does not match its bytes"
  try {
    return decoder.decode(cbor) as Note
  } catch (error) {
    return `the note is not CBOR: ${(error as Error).message}`
  }
}
