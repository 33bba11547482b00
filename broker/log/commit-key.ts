/**
 * Keys of a segment's LevelDB. On disk: never change.
 *
 *   key := commit:u64be partition:u32be
 *
 * `partition` is the partition's id in the catalog; 0xFFFFFFFF is the commit's note (note.ts), which therefore sorts after
 * the commit's batches. Every new key sorts after every old one, so LevelDB moves its files down without rewriting them.
 */

export const NOTE_ID = 0xffffffff
export const COMMIT_KEY_BYTES = 12

export function commitKey(commit: number, id: number): Buffer {
  const key = Buffer.allocUnsafe(COMMIT_KEY_BYTES)
  key.writeUInt32BE(Math.floor(commit / 2 ** 32), 0)
  key.writeUInt32BE(commit >>> 0, 4)
  key.writeUInt32BE(id, 8)
  return key
}

export function commitOf(key: Buffer): number {
  return key.readUInt32BE(0) * 2 ** 32 + key.readUInt32BE(4)
}

export function idOf(key: Buffer): number {
  return key.readUInt32BE(8)
}
