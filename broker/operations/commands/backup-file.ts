/** A backup's file: written whole or not at all, perhaps compressed; read with what it says of itself, not its name. */
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { constants, createGunzip, createGzip, type Gzip } from 'node:zlib'
import { BackupDamagedError, BackupFileError, HeadwaterError } from '../../errors.ts'
import type { Disk, NewFile } from '../../storage/store.ts'
import type { Output } from '../terminal/output.ts'

/** Standard output or input, as a file's name. */
export const STANDARD = '-'
const READ_BYTES = 256 * 1024

export interface BackupSink {
  /** Bytes that the file has so far. */
  readonly bytes: number
  write(piece: Buffer): Promise<void>
  /** It is whole: put in its place, on disk. */
  commit(): Promise<void>
  discard(): Promise<void>
}

/** @throws BackupFileError */
export async function openBackupSink(
  disk: Disk,
  file: string,
  isGzip: boolean,
  out: Output,
): Promise<BackupSink> {
  const plain = file === STANDARD ? new StandardSink(out) : await FileSink.create(disk, file)
  return isGzip ? new GzipSink(plain) : plain
}

class StandardSink implements BackupSink {
  readonly #out: Output
  bytes = 0

  constructor(out: Output) {
    this.#out = out
  }
  async write(piece: Buffer): Promise<void> {
    await this.#out.piece(piece)
    this.bytes += piece.length
  }
  async commit(): Promise<void> {}
  async discard(): Promise<void> {}
}

class FileSink implements BackupSink {
  readonly #name: string
  readonly #file: NewFile
  bytes = 0

  private constructor(name: string, file: NewFile) {
    this.#name = name
    this.#file = file
  }

  static async create(disk: Disk, name: string): Promise<FileSink> {
    try {
      return new FileSink(name, await disk.newFile(name))
    } catch (error) {
      throw fileError(name, error)
    }
  }

  async write(piece: Buffer): Promise<void> {
    await this.#file.write(piece).catch((error) => {
      throw fileError(this.#name, error)
    })
    this.bytes += piece.length
  }

  async commit(): Promise<void> {
    await this.#file.commit().catch((error) => {
      throw fileError(this.#name, error)
    })
  }

  discard(): Promise<void> {
    return this.#file.discard()
  }
}

class GzipSink implements BackupSink {
  readonly #below: BackupSink
  /** The fastest level: a backup is taken often and on a small machine. */
  readonly #gzip: Gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 })
  readonly #written: Promise<void>

  constructor(below: BackupSink) {
    this.#below = below
    this.#written = this.#pump()
    // told where it is awaited
    this.#written.catch(() => undefined)
  }

  get bytes(): number {
    return this.#below.bytes
  }

  async write(piece: Buffer): Promise<void> {
    if (this.#gzip.destroyed) await this.#written
    if (!this.#gzip.write(piece)) await Promise.race([once(this.#gzip, 'drain'), this.#written])
  }

  async commit(): Promise<void> {
    this.#gzip.end()
    await this.#written
    await this.#below.commit()
  }

  async discard(): Promise<void> {
    this.#gzip.destroy()
    await this.#written.catch(() => undefined)
    await this.#below.discard()
  }

  async #pump(): Promise<void> {
    for await (const piece of this.#gzip) await this.#below.write(piece as Buffer)
  }
}

/**
 * The bytes of a backup, decompressed where they are compressed.
 * @param onBytes gets the file's own bytes as they are read
 * @throws BackupFileError, BackupDamagedError while they are read
 */
export async function* readBackupFile(
  file: string,
  onBytes: (bytes: number) => void = () => {},
): AsyncGenerator<Buffer, void, void> {
  const input = file === STANDARD ? process.stdin : createReadStream(file, { highWaterMark: READ_BYTES })
  const pieces = counted(input as AsyncIterable<Buffer>, onBytes)
  try {
    const first = await firstBytes(pieces)
    const all = Readable.from(chained(first, pieces), { objectMode: false })
    const isGzip = first[0] === 0x1f && first[1] === 0x8b
    if (!isGzip) yield* all as AsyncIterable<Buffer>
    else {
      const gunzip = createGunzip({ chunkSize: READ_BYTES })
      all.once('error', (error) => gunzip.destroy(error))
      yield* all.pipe(gunzip) as AsyncIterable<Buffer>
    }
  } catch (error) {
    throw fileError(file, error)
  } finally {
    input.destroy()
  }
}

async function* counted(
  pieces: AsyncIterable<Buffer>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer, void, void> {
  for await (const piece of pieces) {
    onBytes(piece.length)
    yield piece
  }
}

/** Enough to tell what it is. */
async function firstBytes(pieces: AsyncIterator<Buffer>): Promise<Buffer> {
  let first: Buffer = Buffer.alloc(0)
  while (first.length < 2) {
    const { done, value } = await pieces.next()
    if (done === true) break
    first = Buffer.concat([first, value])
  }
  return first
}

async function* chained(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void, void> {
  yield first
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
}

function fileError(file: string, error: unknown): Error {
  if (error instanceof HeadwaterError) return error
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'Z_BUF_ERROR':
      return new BackupDamagedError(file, 'it was cut short', error)
    case 'ENOENT':
      return new BackupFileError(file, 'there is no such file or directory', 'check the path', error)
    case 'EACCES':
    case 'EPERM':
      return new BackupFileError(file, 'permission denied', 'let this user read or write there', error)
    case 'EROFS':
      return new BackupFileError(file, 'the file system is read-only', 'write it elsewhere', error)
    case 'EISDIR':
      return new BackupFileError(file, 'it is a directory', 'name a file', error)
    case 'ENOTSUP':
      return new BackupFileError(
        file,
        'it is no regular file',
        'name a file, or - for standard output',
        error,
      )
    case 'ENOTDIR':
      return new BackupFileError(file, 'a part of the path is a file', 'check the path', error)
    case 'ENOSPC':
    case 'EDQUOT':
      return new BackupFileError(
        file,
        'no space is left there',
        'free some, add --gzip, or write it elsewhere',
        error,
      )
    default:
      if (code?.startsWith('Z_'))
        return new BackupDamagedError(file, `it cannot be decompressed: ${message}`, error)
      if (code === undefined) return error as Error
      return new BackupFileError(file, message, 'check the disk', error)
  }
}
