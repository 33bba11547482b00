/** Gets the data back out of an archive, or out of closed files that were carried away from one. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { StoredBatch } from '../../broker/index.ts'
import { ArchiveDamagedError } from '../errors.ts'
import { nodeArchiveFiles } from './files.ts'
import { type Decoded, decodeEntry, decodeFileHead, fileName, fileNumber } from './format.ts'
import { readManifest } from './manifest.ts'

const READ_BYTES = 256 * 1024

/**
 * The stored batches in the order in which they were sent; each is checked. With a manifest only what counts is read;
 * without one the last file may end in the middle of a round, and is read up to there.
 * @throws ArchiveDamagedError
 */
export async function* readArchive(directory: string): AsyncGenerator<StoredBatch> {
  const manifest = await readManifest(nodeArchiveFiles, directory)
  const numbers = (await nodeArchiveFiles.list(directory))
    .map(fileNumber)
    .filter((number) => number !== null)
    .sort((a, b) => a - b)
  for (const number of numbers) {
    if (manifest !== null && number > manifest.file) break
    const counted = number === manifest?.file ? manifest.fileBytes : Number.POSITIVE_INFINITY
    const mayBeTorn = manifest === null && number === numbers.at(-1)
    yield* readFile(join(directory, fileName(number)), counted, mayBeTorn)
  }
}

/** One file of an archive. @param bytesCounted as its manifest says of the newest, all of an older one */
export function readArchiveFile(
  directory: string,
  number: number,
  bytesCounted: number,
): AsyncGenerator<StoredBatch> {
  return readFile(join(directory, fileName(number)), bytesCounted, false)
}

async function* readFile(
  path: string,
  bytesCounted: number,
  mayBeTorn: boolean,
): AsyncGenerator<StoredBatch> {
  const file = await open(path, 'r')
  let held = Buffer.alloc(0)
  let position = 0
  /** Reads on until `bytes` are held. @returns false at the end */
  const fill = async (bytes: number): Promise<boolean> => {
    while (held.length < bytes) {
      const wanted = Math.min(Math.max(READ_BYTES, bytes - held.length), bytesCounted - position)
      // A view is yielded to the caller, so each read goes into a buffer of its own.
      const chunk = Buffer.allocUnsafeSlow(Math.max(0, wanted))
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position)
      if (bytesRead === 0) return false
      position += bytesRead
      held =
        held.length === 0 ? chunk.subarray(0, bytesRead) : Buffer.concat([held, chunk.subarray(0, bytesRead)])
    }
    return true
  }
  const take = async <T>(decode: (bytes: Buffer) => Decoded<T>): Promise<T | null> => {
    for (;;) {
      const decoded = decode(held)
      if ('value' in decoded) {
        held = held.subarray(decoded.bytes)
        return decoded.value
      }
      if ('fault' in decoded)
        throw new ArchiveDamagedError(path, `at byte ${position - held.length}: ${decoded.fault}`)
      if (await fill(decoded.needs)) continue
      const cutShort = Number.isFinite(bytesCounted) && position < bytesCounted
      if ((held.length === 0 && !cutShort) || mayBeTorn) return null
      throw new ArchiveDamagedError(
        path,
        `at byte ${position - held.length}: it ends in the middle of an entry`,
      )
    }
  }
  try {
    if ((await take(decodeFileHead)) === null) return
    for (;;) {
      const batch = await take(decodeEntry)
      if (batch === null) return
      yield batch
    }
  } finally {
    await file.close()
  }
}
