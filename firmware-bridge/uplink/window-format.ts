/**
 * What the window store keeps on disk, in LevelDB. On disk: never change; a new form gets a new first byte.
 *
 *   client := 00 clientId                        -> epoch u32, touched u48
 *   entry  := 01 clientId 00 slot                -> state u8, epoch u32, sequence u48, completedBelow u48,
 *                                                   messageId u16, packetId u16, digest 8 bytes
 *   reserved := 02 clientId                      -> epoch u32, first u16, count u16
 *
 * Numbers are big-endian. clientId is UTF-8 and has no U+0000 (MQTT 5.0 section 1.5.4), so no client's keys lie among another's. `touched`
 * counts connects of all clients: the lowest is the client that was silent longest. `sequence` counts the entries of a client; those of an
 * epoch below `completedBelow` of any of its entries need nothing any more (PUBCOMP has come). state: 1 sent (aggregated mode: packetId
 * stands for messageId), 2 received (PUBREC has come). An entry of another epoch than the client's is nothing. reserved: the
 * broker may hold `count` packet ids from `first` on, for messages without an entry (after 65,535 comes 1); of another epoch it is nothing.
 *
 * Message 7 of client "a", slot 0: 01 61 00 00 -> 02 00000001 000000000000 000000000000 0007 0007 9f86d081884c7d65
 */
import { assert } from '../../broker/assert.ts'

export const EntryState = { sent: 1, received: 2 } as const
export type EntryState = (typeof EntryState)[keyof typeof EntryState]

export interface StoredClient {
  readonly epoch: number
  readonly touched: number
}

export interface StoredEntry {
  readonly state: EntryState
  readonly epoch: number
  readonly sequence: number
  readonly completedBelow: number
  readonly messageId: number
  readonly packetId: number
  /** 8 bytes, hexadecimal. */
  readonly digest: string
}

/** Packet ids from `first` on; after 65,535 comes 1. */
export interface IdRange {
  readonly first: number
  readonly count: number
}

const CLIENT = 0
const ENTRY = 1
const RESERVED = 2
const CLIENT_BYTES = 10
const RESERVED_BYTES = 8
const ENTRY_BYTES = 29
export const DIGEST_BYTES = 8

export const clientsRange = { from: Buffer.of(CLIENT), to: Buffer.of(ENTRY) } as const
export const entriesRange = { from: Buffer.of(ENTRY), to: Buffer.of(ENTRY + 1) } as const

export function clientKey(clientId: string): Buffer {
  return Buffer.concat([Buffer.of(CLIENT), Buffer.from(clientId)])
}

export function clientIdOfKey(key: Buffer): string {
  return key.toString('utf8', 1)
}

export function entryKey(clientId: string, slot: number): Buffer {
  return Buffer.concat([Buffer.of(ENTRY), Buffer.from(clientId), Buffer.of(0, slot)])
}

export function clientOfEntryKey(key: Buffer): { clientId: string; slot: number } {
  return { clientId: key.toString('utf8', 1, key.length - 2), slot: key[key.length - 1]! }
}

/** The keys of one client's entries. */
export function entryRange(clientId: string): { from: Buffer; to: Buffer } {
  const head = Buffer.concat([Buffer.of(ENTRY), Buffer.from(clientId)])
  return { from: Buffer.concat([head, Buffer.of(0)]), to: Buffer.concat([head, Buffer.of(1)]) }
}

export function reservedKey(clientId: string): Buffer {
  return Buffer.concat([Buffer.of(RESERVED), Buffer.from(clientId)])
}

export function encodeReserved(epoch: number, { first, count }: IdRange): Buffer {
  assert(first > 0 && count > 0, 'ids begin at 1')
  const value = Buffer.alloc(RESERVED_BYTES)
  value.writeUInt32BE(epoch, 0)
  value.writeUInt16BE(first, 4)
  value.writeUInt16BE(count, 6)
  return value
}

/** @returns null for what is no such value, or of another epoch */
export function decodeReserved(value: Buffer, epoch: number): IdRange | null {
  if (value.length !== RESERVED_BYTES || value.readUInt32BE(0) !== epoch) return null
  const range = { first: value.readUInt16BE(4), count: value.readUInt16BE(6) }
  return range.first > 0 && range.count > 0 ? range : null
}

export function encodeClient({ epoch, touched }: StoredClient): Buffer {
  const value = Buffer.alloc(CLIENT_BYTES)
  value.writeUInt32BE(epoch, 0)
  value.writeUIntBE(touched, 4, 6)
  return value
}

/** @returns null for what is no such value */
export function decodeClient(value: Buffer): StoredClient | null {
  if (value.length !== CLIENT_BYTES) return null
  return { epoch: value.readUInt32BE(0), touched: value.readUIntBE(4, 6) }
}

export function encodeEntry(entry: StoredEntry): Buffer {
  assert(entry.digest.length === 2 * DIGEST_BYTES, 'a digest has 8 bytes')
  assert(entry.messageId > 0 && entry.packetId > 0, 'ids begin at 1')
  const value = Buffer.alloc(ENTRY_BYTES)
  value.writeUInt8(entry.state, 0)
  value.writeUInt32BE(entry.epoch, 1)
  value.writeUIntBE(entry.sequence, 5, 6)
  value.writeUIntBE(entry.completedBelow, 11, 6)
  value.writeUInt16BE(entry.messageId, 17)
  value.writeUInt16BE(entry.packetId, 19)
  value.write(entry.digest, 21, 'hex')
  return value
}

/** @returns null for what is no such value: it is as if it were not there */
export function decodeEntry(value: Buffer): StoredEntry | null {
  const state = value[0]
  if (value.length !== ENTRY_BYTES || (state !== EntryState.sent && state !== EntryState.received))
    return null
  return {
    state,
    epoch: value.readUInt32BE(1),
    sequence: value.readUIntBE(5, 6),
    completedBelow: value.readUIntBE(11, 6),
    messageId: value.readUInt16BE(17),
    packetId: value.readUInt16BE(19),
    digest: value.toString('hex', 21, 29),
  }
}
