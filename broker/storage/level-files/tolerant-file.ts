/**
 * A file on a disk that may not give back all of it. A page that cannot be read comes as zeros and is remembered: what is around it
 * is still wanted. LevelDB maps its tables into memory, where the same page ends the process (SIGBUS).
 */
import type { Disk, OpenFile } from '../store.ts'

/** What a card or a file system that has lost a block says, by name and by Linux's number. */
const MEDIUM_CODES = new Set(['EIO', 'EBADMSG', 'ENODATA', 'EUCLEAN', 'EREMOTEIO'])
const MEDIUM_NUMBERS = new Set([-5, -74, -61, -117, -121])

const PAGE_BYTES = 4096

export interface ByteRange {
  readonly at: number
  readonly end: number
}

export class TolerantFile {
  readonly name: string
  readonly size: number
  /** In the order in which they were met, neighbours joined; a part read twice is there twice. */
  readonly unreadable: ByteRange[] = []
  /** The disk did not even open it. */
  readonly isLost: boolean
  readonly #file: OpenFile | undefined

  private constructor(name: string, file: OpenFile | undefined) {
    this.name = name
    this.#file = file
    this.size = file?.size ?? 0
    this.isLost = file === undefined
  }

  /** undefined where there is no such file. */
  static async open(disk: Disk, path: string, name: string): Promise<TolerantFile | undefined> {
    try {
      const file = await disk.openFile(path)
      return file === undefined ? undefined : new TolerantFile(name, file)
    } catch (error) {
      if (isMediumError(error)) return new TolerantFile(name, undefined)
      throw error
    }
  }

  /**
   * The bytes from `offset` on, fewer where the file ends before; zeros for what cannot be read.
   * @param into may be used for it, as in `OpenFile`
   */
  async read(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    const wanted = Math.min(length, this.size - offset)
    if (wanted <= 0 || this.#file === undefined) return Buffer.alloc(0)
    try {
      return await this.#file.read(offset, wanted, into)
    } catch (error) {
      if (!isMediumError(error)) throw error
      return this.#readPages(this.#file, offset, wanted)
    }
  }

  async #readPages(file: OpenFile, offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length)
    const end = offset + length
    for (let at = offset; at < end; ) {
      const pageEnd = Math.min(end, at - (at % PAGE_BYTES) + PAGE_BYTES)
      try {
        const page = await file.read(at, pageEnd - at)
        page.copy(bytes, at - offset)
      } catch (error) {
        if (!isMediumError(error)) throw error
        this.#remember(at, pageEnd)
      }
      at = pageEnd
    }
    return bytes
  }

  #remember(at: number, end: number): void {
    const last = this.unreadable.at(-1)
    if (last?.end === at) this.unreadable[this.unreadable.length - 1] = { at: last.at, end }
    else this.unreadable.push({ at, end })
  }

  /** True where a part of these bytes was asked for and could not be read. */
  isUnreadable(at: number, end: number): boolean {
    return this.unreadable.some((range) => range.at < end && at < range.end)
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }
}

function isMediumError(error: unknown): boolean {
  const { code, errno } = error as NodeJS.ErrnoException
  return MEDIUM_CODES.has(code ?? '') || MEDIUM_NUMBERS.has(errno ?? 0)
}
