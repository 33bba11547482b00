/**
 * The archive's batch files. On disk: never change.
 *
 *   directory := manifest.json batches-<number>.hwa*           number := ten decimal digits, from 1, without gap
 *   file      := "HWARCH01" aboutBytes:u32be about entry*
 *   about     := JSON {"edge","incarnation","archive"}          which log the file belongs to, for those who find it alone
 *   entry     := entryBytes:u32be headCrc:u32be partition:u32be streamBytes:u16be stream batch
 *   batch     := RecordBatch v2, as the log stored it
 *
 * `entryBytes` counts what follows it. `headCrc` is the CRC-32C of partition, streamBytes, stream and the batch's first
 * 21 bytes; the batch's own CRC covers the rest, so that every byte after the length is checked.
 *
 * Limits: about 4 KiB, stream 1 KiB, entry 64 MiB. A file ends at the first round that takes it past `fileBytesMax`;
 * the manifest says which file is being written and how many of its bytes count.
 *
 * Example, stream "ab", partition 1, a batch of 69 bytes:
 *   00000051 <crc> 00000001 0002 6162 <69 bytes>               (0x51 = 4 + 4 + 2 + 2 + 69)
 */
import {
  assert,
  baseOffsetOf,
  batchFault,
  crc32c,
  nextOffsetOf,
  type StoredBatch,
} from '../../broker/index.ts'

const FILE_MAGIC = Buffer.from('HWARCH01', 'latin1')
const ABOUT_BYTES_MAX = 4096
const STREAM_BYTES_MAX = 1024
const ENTRY_BYTES_MAX = 64 * 1024 * 1024
/** Bytes before the stream's name. */
const ENTRY_HEAD_BYTES = 14
const BATCH_HEAD_BYTES = 21

export interface ArchiveAbout {
  readonly edge: string
  readonly incarnation: string
  /** A UUID made when the archive was. */
  readonly archive: string
}

export function fileName(number: number): string {
  return `batches-${String(number).padStart(10, '0')}.hwa`
}

/** @returns the number in a batch file's name, or null for any other file. */
export function fileNumber(name: string): number | null {
  const match = /^batches-(\d{10})\.hwa$/.exec(name)
  return match === null ? null : Number(match[1])
}

export function encodeFileHead(about: ArchiveAbout): Buffer {
  const text = Buffer.from(JSON.stringify(about), 'utf8')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([FILE_MAGIC, length, text])
}

/** What comes before a batch in its entry. */
export function encodeEntryHead(stream: string, partition: number, batch: Buffer): Buffer {
  const name = Buffer.from(stream, 'utf8')
  assert(name.length <= STREAM_BYTES_MAX, "a stream's name is no longer than the configuration allows")
  const head = Buffer.alloc(ENTRY_HEAD_BYTES + name.length)
  assert(head.length + batch.length <= ENTRY_BYTES_MAX, 'a batch is no larger than the log takes')
  head.writeUInt32BE(head.length - 4 + batch.length, 0)
  head.writeUInt32BE(partition, 8)
  head.writeUInt16BE(name.length, 12)
  name.copy(head, ENTRY_HEAD_BYTES)
  head.writeUInt32BE(crc32c(Buffer.concat([head.subarray(8), batch.subarray(0, BATCH_HEAD_BYTES)])), 4)
  return head
}

/** One step of a decoder: a value, "more bytes are needed" (how many in all), or what is wrong. */
export type Decoded<T> = { value: T; bytes: number } | { needs: number } | { fault: string }

export function decodeFileHead(bytes: Buffer): Decoded<ArchiveAbout> {
  const fixed = FILE_MAGIC.length + 4
  if (bytes.length < fixed) return { needs: fixed }
  if (!bytes.subarray(0, FILE_MAGIC.length).equals(FILE_MAGIC))
    return { fault: 'it does not begin with HWARCH01' }
  const length = bytes.readUInt32BE(FILE_MAGIC.length)
  if (length > ABOUT_BYTES_MAX) return { fault: `its description would be ${length} bytes` }
  if (bytes.length < fixed + length) return { needs: fixed + length }
  try {
    const value = JSON.parse(bytes.toString('utf8', fixed, fixed + length)) as ArchiveAbout
    return { value, bytes: fixed + length }
  } catch {
    return { fault: 'its description is not JSON' }
  }
}

/** Decodes one entry. The batch is a view into `bytes`. */
export function decodeEntry(bytes: Buffer): Decoded<StoredBatch> {
  if (bytes.length < 4) return { needs: 4 }
  const total = 4 + bytes.readUInt32BE(0)
  if (total < ENTRY_HEAD_BYTES + BATCH_HEAD_BYTES || total > ENTRY_BYTES_MAX) {
    return { fault: `an entry would be ${total} bytes` }
  }
  if (bytes.length < total) return { needs: total }
  const partition = bytes.readUInt32BE(8)
  const streamBytes = bytes.readUInt16BE(12)
  if (streamBytes > STREAM_BYTES_MAX) return { fault: `a stream's name would be ${streamBytes} bytes` }
  const batchAt = ENTRY_HEAD_BYTES + streamBytes
  if (batchAt + BATCH_HEAD_BYTES > total) return { fault: 'an entry has no room for its batch' }
  if (crc32c(bytes.subarray(8, batchAt + BATCH_HEAD_BYTES)) !== bytes.readUInt32BE(4)) {
    return { fault: "an entry's head does not match its CRC" }
  }
  const batch = bytes.subarray(batchAt, total)
  const fault = batchFault(batch)
  if (fault !== null) return { fault }
  const value: StoredBatch = {
    stream: bytes.toString('utf8', ENTRY_HEAD_BYTES, batchAt),
    partition,
    baseOffset: baseOffsetOf(batch),
    nextOffset: nextOffsetOf(batch),
    bytes: batch,
  }
  return { value, bytes: total }
}
