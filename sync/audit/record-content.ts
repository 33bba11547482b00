/** Whether two records hold the same, and a record's content as one number for where both are not at hand at once. */
import { crc32c, type LogRecord } from '../../broker/index.ts'

export function isSameContent(a: LogRecord, b: LogRecord, ignoresTime: boolean): boolean {
  return (
    (ignoresTime || a.timestamp === b.timestamp) &&
    isSameBytes(a.key, b.key) &&
    isSameBytes(a.value, b.value) &&
    a.headers.length === b.headers.length &&
    a.headers.every(({ key, value }, i) => {
      const other = b.headers[i]!
      return key === other.key && isSameBytes(value, other.value)
    })
  )
}

function isSameBytes(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b)
}

/**
 * CRC-32C of (timestamp:int64 key value headers:uint32 (name value)*), each field as length:int32 bytes with -1 for null.
 * @param ignoresTime the timestamp is taken as 0
 */
export function contentCrc({ timestamp, key, value, headers }: LogRecord, ignoresTime: boolean): number {
  const fields: (Buffer | null)[] = [key, value]
  for (const header of headers) fields.push(Buffer.from(header.key, 'utf8'), header.value)
  const bytes = Buffer.allocUnsafe(12 + fields.reduce((sum, field) => sum + 4 + (field?.length ?? 0), 0))
  let at = bytes.writeBigInt64BE(BigInt(ignoresTime ? 0 : timestamp), 0)
  at = bytes.writeUInt32BE(headers.length, at)
  for (const field of fields) {
    at = bytes.writeInt32BE(field === null ? -1 : field.length, at)
    if (field !== null) at += field.copy(bytes, at)
  }
  return crc32c(bytes)
}
