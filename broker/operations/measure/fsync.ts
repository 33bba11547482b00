/** How long an fsync takes in a directory: some blocks written one after the other, each synced, in a file that is gone afterwards. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Latencies, latenciesOf } from './latencies.ts'
import { withScratch } from './scratch.ts'

const BLOCK_BYTES = 4096

/**
 * @param count as many blocks of 4 kB are written
 * @param onDone called after each
 * @throws what the file system throws
 */
export function measureFsync(
  directory: string,
  count: number,
  signal: AbortSignal,
  onDone: (done: number) => void = () => {},
): Promise<Latencies> {
  return withScratch(directory, async (scratch) => {
    const file = await open(join(scratch, 'probe'), 'w')
    try {
      const taken: number[] = []
      const block = Buffer.alloc(BLOCK_BYTES, 0x5a)
      for (let i = 0; i < count && !signal.aborted; i++) {
        // never the same twice: a device may leave out what it has
        block.writeUInt32LE(i, 0)
        const startedAt = performance.now()
        await file.write(block, 0, BLOCK_BYTES, i * BLOCK_BYTES)
        await file.datasync()
        taken.push(performance.now() - startedAt)
        onDone(i + 1)
      }
      return latenciesOf(taken)
    } finally {
      await file.close()
    }
  })
}
