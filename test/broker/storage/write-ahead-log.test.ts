/** The judge is LevelDB itself: it opens the same damaged file, and what it then holds is what the inspector said it would. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { inspectWriteAheadLog } from '../../../broker/storage/write-ahead-log.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

const inspect = (bytes: Buffer) =>
  inspectWriteAheadLog({
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    isUnreadable: () => false,
  })

const OPTIONS = { writeBufferBytes: 8 * 1024 * 1024, createIfMissing: true }
const BLOCK_BYTES = 32 * 1024

let root: string
let count = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-wal-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Written {
  /** The files of the store beside the write-ahead file. */
  readonly files: ReadonlyMap<string, Buffer>
  readonly name: string
  readonly wal: Buffer
  /** Where each batch ends in the file. */
  readonly ends: readonly number[]
}

/** Writes one batch with one entry of each size, and takes the files before LevelDB writes them to a table. */
async function write(sizes: readonly number[]): Promise<Written> {
  const directory = join(root, `source-${count++}`)
  const store = await nodeDisk.openStore(directory, OPTIONS)
  const ends: number[] = []
  const walName = () => readdirSync(directory).find((name) => name.endsWith('.log'))!
  for (const [i, size] of sizes.entries()) {
    const batch = store.batch()
    batch.put(Buffer.from([i >> 8, i & 255]), Buffer.alloc(size, i + 1))
    await batch.write({ sync: true })
    ends.push(readFileSync(join(directory, walName())).length)
  }
  const name = walName()
  const files = new Map(readdirSync(directory).map((file) => [file, readFileSync(join(directory, file))]))
  await store.close()
  const wal = files.get(name)!
  files.delete(name)
  files.delete('LOCK')
  return { files, name, wal, ends }
}

/** How many batches LevelDB finds with this write-ahead file. */
async function batchesOfLevel({ files, name }: Written, wal: Buffer): Promise<number> {
  const directory = join(root, `copy-${count++}`)
  mkdirSync(directory)
  for (const [file, bytes] of files) writeFileSync(join(directory, file), bytes)
  writeFileSync(join(directory, name), wal)
  const store = await nodeDisk.openStore(directory, OPTIONS)
  const entries = await store.range({ from: Buffer.of(), to: Buffer.alloc(8, 0xff), bytesMax: 1e9 })
  await store.close()
  rmSync(directory, { recursive: true, force: true })
  return entries.length
}

describe('the inspector of a write-ahead file', () => {
  it('finds a whole file whole, with batches that span several blocks and ends of blocks of any fill', async () => {
    const sizes = [0, 10, BLOCK_BYTES, 3 * BLOCK_BYTES, 100]
    // brings the next record to within a header of a block's end, at every distance
    for (let left = 0; left <= 8; left++) sizes.push(BLOCK_BYTES - 200 - left, 100, 5)
    const written = await write(sizes)
    expect(await inspect(written.wal)).toEqual({
      records: sizes.length,
      tornBytes: 0,
      damagedBytes: 0,
    })
    expect(await batchesOfLevel(written, written.wal)).toBe(sizes.length)
  })

  it('finds an empty file whole', async () => {
    expect(await inspect(Buffer.alloc(0))).toEqual({ records: 0, tornBytes: 0, damagedBytes: 0 })
  })

  it('cut at every byte of the last batch, counts what was whole and calls the rest torn', async () => {
    const written = await write([50, 30, 70])
    const [, second, end] = written.ends as [number, number, number]
    for (let length = second; length < end; length++) {
      expect(await inspect(written.wal.subarray(0, length)), `cut at ${length}`).toEqual({
        records: 2,
        tornBytes: length - second,
        damagedBytes: 0,
      })
    }
    for (const length of [second, second + 3, second + 7, end - 1]) {
      expect(await batchesOfLevel(written, written.wal.subarray(0, length))).toBe(2)
    }
  })

  it('cut inside a batch that spans blocks, drops it whole', async () => {
    const written = await write([50, 3 * BLOCK_BYTES])
    const first = written.ends[0]!
    for (const length of [first + 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 7, 2 * BLOCK_BYTES + 100]) {
      const cut = written.wal.subarray(0, length)
      expect(await inspect(cut)).toEqual({ records: 1, tornBytes: length - first, damagedBytes: 0 })
      expect(await batchesOfLevel(written, cut)).toBe(1)
    }
  })

  it('calls a tail of zeros torn, as a file has that was lengthened and not written', async () => {
    const written = await write([50, 60])
    for (const zeros of [7, 100, BLOCK_BYTES]) {
      const wal = Buffer.concat([written.wal, Buffer.alloc(zeros)])
      expect(await inspect(wal)).toEqual({ records: 2, tornBytes: zeros, damagedBytes: 0 })
      expect(await batchesOfLevel(written, wal)).toBe(2)
    }
  })

  it('calls a flipped byte before batches that are whole damage, not a torn end', async () => {
    const written = await write(Array.from({ length: 12 }, () => 10_000))
    const wal = Buffer.from(written.wal)
    wal[written.ends[3]! + 500]! ^= 1
    const state = await inspect(wal)
    expect(state.damagedBytes).toBeGreaterThan(0)
    expect(state.tornBytes).toBe(0)
    expect(state.records).toBe(await batchesOfLevel(written, wal))
  })

  it('calls a flipped byte damage also where LevelDB drops all that follows it in the last block', async () => {
    const written = await write([50, 60, 70, 80])
    const [first, , third, end] = written.ends as [number, number, number, number]
    for (const at of [first, first + 6, first + 20]) {
      const wal = Buffer.from(written.wal)
      wal[at]! ^= 0x40
      const state = await inspect(wal)
      expect(state, `byte ${at}`).toEqual({ records: 1, tornBytes: 0, damagedBytes: end - first })
      expect(await batchesOfLevel(written, wal)).toBe(1)
      const cut = await inspect(wal.subarray(0, end - 1))
      expect(cut).toEqual({ records: 1, tornBytes: end - 1 - third, damagedBytes: third - first })
    }
  })

  it('counts what LevelDB finds, whatever is flipped or cut', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const written = await write(Array.from({ length: 14 }, () => random.between(0, 12_000)))
    for (let round = 0; round < 25; round++) {
      const cut = random.next() < 0.5 ? written.wal.length : random.between(1, written.wal.length)
      const wal = Buffer.from(written.wal.subarray(0, cut))
      if (random.next() < 0.8) wal[random.between(0, wal.length - 1)]! ^= 1 << random.between(0, 7)
      const { records } = await inspect(wal)
      expect(records, `seed ${seed}, round ${round}`).toBe(await batchesOfLevel(written, wal))
    }
  })
})
