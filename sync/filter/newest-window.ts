/**
 * Newest per key only: of what waits, the last record of each key goes upstream and the older ones are passed over.
 *
 * A window is a stretch of one partition, from where reading stands to what is durable now, or to where its memory is full. It is read
 * twice: once to note the newest offset of each key, once to send. Nothing is remembered across a crash, and nothing has to be: a record
 * that was passed over has a newer one of its key in its window. Either upstream has that one, or it lies at or behind the position from
 * which the next window begins, and is found again, or one that is newer still. Both are durable. Within a key the order stays that of
 * the offsets.
 */
import { assert, KeyMap, type LogSource, type ScannedRecord, scanRecords } from '../../broker/index.ts'
import type { RecordFilter } from './selection.ts'

/** Read at once while a window is made. */
const CHUNK_BYTES = 256 * 1024
/** A window ends here at the latest: sending begins before all of a long backlog has been read. */
const WINDOW_BYTES_MAX = 32 * 1024 * 1024
/** Memory of all windows of an upstream: about 120,000 keys. Each has at least the least that a `KeyMap` takes. */
const KEYS_BYTES_MAX = 4 * 1024 * 1024
const WINDOW_KEYS_BYTES_MIN = 16 * 1024

/** The memory that one partition's window may take. */
export function windowKeysBytes(partitions: number): number {
  return Math.max(WINDOW_KEYS_BYTES_MIN, Math.floor(KEYS_BYTES_MAX / Math.max(1, partitions)))
}

export class NewestWindow {
  /** Records from here on are not judged: they belong to the next window. */
  readonly end: number
  readonly #keys: KeyMap

  private constructor(keys: KeyMap, end: number) {
    this.#keys = keys
    this.end = end
  }

  /** @param from the first offset that is judged @param keysBytesMax memory for the keys */
  static async read(
    log: LogSource,
    place: { readonly stream: string; readonly partition: number; readonly from: number },
    filter: RecordFilter,
    keysBytesMax: number,
  ): Promise<NewestWindow> {
    const keys = new KeyMap(keysBytesMax)
    let end = place.from
    let bytes = 0
    let isFull = false
    while (!isFull && bytes < WINDOW_BYTES_MAX) {
      const batches = await log.read(place.stream, place.partition, end, CHUNK_BYTES)
      if (batches.length === 0) break
      for (const batch of batches) {
        const fits = noteAll(keys, batch.bytes, place.from, filter)
        assert(batch.nextOffset > end, 'a read goes forward')
        end = batch.nextOffset
        bytes += batch.bytes.length
        // its records whose keys found no room are sent, whatever follows
        isFull = !fits
        if (isFull) break
      }
    }
    return new NewestWindow(keys, end)
  }

  /** False where a newer record of the same key is known. A record without a key has no newer one. */
  isNewest({ offset, keyAt, keyBytes }: ScannedRecord, batch: Buffer): boolean {
    return keyBytes < 0 || this.#keys.get(0, batch, keyAt, keyBytes) <= offset
  }
}

/** @returns false when a key found no room */
function noteAll(keys: KeyMap, batch: Buffer, from: number, { keep }: RecordFilter): boolean {
  let fits = true
  scanRecords(batch, (record) => {
    if (record.keyBytes < 0 || record.offset < from) return
    if (keep !== null && !keep(record, batch)) return
    fits = keys.put(0, batch, record.keyAt, record.keyBytes, record.offset) && fits
  })
  return fits
}
