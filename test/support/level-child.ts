/**
 * A process that opens LevelDB directories for another one, because damage in them may end it. Sent `{ directory }`, it opens the
 * store as the broker does, reads every entry by range and by key, closes it, then compacts all of it and reads it again: a compaction
 * starts by itself at any time, and meets what reading does not. It answers with an `Opened`.
 */
import { ClassicLevel } from 'classic-level'
import { crc32c } from '../../broker/storage/crc32c.ts'
import { openLevelStore } from '../../broker/storage/level-store.ts'
import type { Entry, Store } from '../../broker/storage/store.ts'

export interface Opened {
  /** What was thrown, and at which step. */
  readonly error: string | null
  /** By key in hex: the CRC-32C of the value that a range brought. */
  readonly entries: readonly (readonly [string, number])[]
  /** Keys whose value was another by `get`, or after the compaction. */
  readonly differing: readonly string[]
}

const OPTIONS = { writeBufferBytes: 64 * 1024, createIfMissing: false }
const END = Buffer.alloc(64, 0xff)

async function readAll(store: Store): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  let from = Buffer.alloc(0)
  for (;;) {
    const entries: Entry[] = await store.range({ from, to: END, bytesMax: 1_000_000 })
    for (const { key, value } of entries) found.set(key.toString('hex'), crc32c(value))
    const last = entries.at(-1)
    if (last === undefined) return found
    from = Buffer.concat([last.key, Buffer.of(0)])
  }
}

/** Writes the first and the last entry again: a table that spans all makes a compaction go through all. */
async function writeEnds(directory: string, keys: readonly string[]): Promise<void> {
  const store = await openLevelStore(directory, OPTIONS)
  const batch = store.batch()
  for (const hex of [keys[0], keys.at(-1)]) {
    const key = Buffer.from(hex ?? '', 'hex')
    const value = await store.get(key)
    if (value !== undefined) batch.put(key, value)
  }
  await batch.write({ sync: true })
  await store.close()
}

async function open(directory: string): Promise<Opened> {
  let entries = new Map<string, number>()
  const differing: string[] = []
  let step = 'open'
  try {
    const store = await openLevelStore(directory, OPTIONS)
    try {
      step = 'range'
      entries = await readAll(store)
      step = 'get'
      for (const [key, crc] of entries) {
        const value = await store.get(Buffer.from(key, 'hex'))
        if (value === undefined || crc32c(value) !== crc) differing.push(key)
      }
    } finally {
      await store.close()
    }
    step = 'compact'
    await writeEnds(directory, [...entries.keys()])
    const db = new ClassicLevel<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      compression: false,
    })
    await db.open()
    await db.compactRange(Buffer.alloc(0), END)
    await db.close()
    step = 'read again'
    const again = await openLevelStore(directory, OPTIONS)
    const after = await readAll(again)
    await again.close()
    for (const [key, crc] of entries) if (after.get(key) !== crc) differing.push(key)
    for (const key of after.keys()) if (!entries.has(key)) differing.push(key)
  } catch (error) {
    const cause = (error as { cause?: Error }).cause
    return {
      error: `${step}: ${cause?.message ?? (error as Error).message}`,
      entries: [...entries],
      differing,
    }
  }
  return { error: null, entries: [...entries], differing }
}

process.on('message', ({ directory }: { directory: string }) => {
  void open(directory).then((opened) => process.send!(opened))
})
process.on('disconnect', () => process.exit())
