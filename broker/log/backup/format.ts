/**
 * The container of a backup: one file, written and read front to back. It may as a whole be inside gzip.
 *
 *   backup  := magic version:u32be=1 frame*                 magic = "HWBACKUP"
 *   frame   := kind:u8 length:u32be check:u32be payload crc:u32be
 *              check = CRC-32C of number:u32be kind length   (frames are counted from 0)
 *              crc   = CRC-32C of payload, which has `length` bytes
 *
 *   order   := header facts* chain* trailer
 *   chain   := chain-begin (segment-begin entries* segment-end)* head chain-end
 *
 *   header        "H"  JSON  whose log, from when, which streams                     (contents.ts: all JSON)
 *   facts         "F"  (keyLength:u32be key valueLength:u32be value)*   the fact store's entries
 *   chain-begin   "C"  JSON  the chain's name
 *   segment-begin "S"  JSON  id and first commit: restore makes segments of the same extent
 *   entries       "E"  (commit:u64be partition:u32be length:u32be value)*   as in the segment's LevelDB, in the order of its keys
 *   segment-end   "s"  JSON  last commit, counts
 *   head          "N"  a note (../note.ts) with the head of the segment that follows the last one
 *   chain-end     "c"  JSON  last commit, what could not be read, what the manifest knew
 *   trailer       "T"  JSON  { frames, bytes, digest }: what stands before it
 *
 * `digest` chains the frames' crc: digest := CRC-32C of digest:u32be crc:u32be, from 0. With `check` each frame is in its place, so a file
 * that was cut short is told from one that was changed. Nothing stands behind the trailer.
 *
 * Example, the first bytes of each backup: 48 57 42 41 43 4b 55 50 00 00 00 01 48 <length> <check> 7b 22 …
 *
 * Versions: one that an older Headwater cannot read has another number; fields of JSON are only added.
 */
import { assert } from '../../assert.ts'
import { BackupDamagedError, BackupForeignError } from '../../errors.ts'
import { crc32c } from '../../storage/crc32c.ts'

export const FrameKind = {
  header: 0x48,
  facts: 0x46,
  chainBegin: 0x43,
  segmentBegin: 0x53,
  entries: 0x45,
  segmentEnd: 0x73,
  head: 0x4e,
  chainEnd: 0x63,
  trailer: 0x54,
} as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

const MAGIC = Buffer.from('HWBACKUP')
const VERSION = 1
const START_BYTES = 12
const HEAD_BYTES = 9
/** The largest commit that a configuration allows, with room to spare. Checked before memory is set aside for a frame. */
const FRAME_BYTES_MAX = 512 * 1024 * 1024

/**
 * Frames of these sizes share one buffer. Smaller ones do not: a stream takes those without waiting until they are written, up to
 * its high-water mark (64 KiB).
 */
const ROOM_BYTES_MIN = 128 * 1024
const ROOM_BYTES_MAX = 512 * 1024

export interface Frame {
  readonly kind: FrameKind
  readonly payload: Buffer
}

/** What stands before a trailer. */
export interface FrameSums {
  readonly frames: number
  readonly bytes: number
  readonly digest: number
}

class Sums implements FrameSums {
  frames = 0
  bytes = START_BYTES
  digest = 0

  add(payloadBytes: number, crc: number): void {
    const pair = Buffer.allocUnsafe(8)
    pair.writeUInt32BE(this.digest, 0)
    pair.writeUInt32BE(crc, 4)
    this.digest = crc32c(pair)
    this.frames++
    this.bytes += HEAD_BYTES + payloadBytes + 4
  }
}

function checkOf(number: number, head: Buffer): number {
  const bytes = Buffer.allocUnsafe(9)
  bytes.writeUInt32BE(number, 0)
  head.copy(bytes, 4, 0, 5)
  return crc32c(bytes)
}

/** Codes frames one after the other. */
export class FrameWriter {
  readonly #sums = new Sums()
  /** For large frames, one after the other: else each would be memory outside of the heap that waits for the collector. */
  #room: Buffer = Buffer.alloc(0)

  /** Of what was written so far. */
  get sums(): FrameSums {
    const { frames, bytes, digest } = this.#sums
    return { frames, bytes, digest }
  }

  /** What stands before the first frame. */
  start(): Buffer {
    const bytes = Buffer.alloc(START_BYTES)
    MAGIC.copy(bytes)
    bytes.writeUInt32BE(VERSION, 8)
    return bytes
  }

  /**
   * @param parts of the payload, copied
   * @returns the frame; a large one is valid until the next one is coded
   */
  frame(kind: FrameKind, ...parts: readonly Uint8Array[]): Buffer {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    assert(length <= FRAME_BYTES_MAX, 'a frame is no larger than the largest commit')
    const frame = this.#roomFor(HEAD_BYTES + length + 4)
    frame[0] = kind
    frame.writeUInt32BE(length, 1)
    frame.writeUInt32BE(checkOf(this.#sums.frames, frame), 5)
    let at = HEAD_BYTES
    for (const part of parts) {
      frame.set(part, at)
      at += part.length
    }
    const crc = crc32c(frame.subarray(HEAD_BYTES, at))
    frame.writeUInt32BE(crc, at)
    this.#sums.add(length, crc)
    return frame
  }

  #roomFor(bytes: number): Buffer {
    if (bytes < ROOM_BYTES_MIN) return Buffer.allocUnsafe(bytes)
    if (bytes > ROOM_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes)
    if (this.#room.length === 0) this.#room = Buffer.allocUnsafeSlow(ROOM_BYTES_MAX)
    return this.#room.subarray(0, bytes)
  }
}

/** Reads frames; every byte of them is checked before it is given out. */
export class FrameReader {
  readonly #source: ByteSource
  readonly #name: string
  readonly #sums = new Sums()
  /** Where the frame begins that is read now or was read last, before compression. */
  #frameAt = 0

  /** @param name of the file, for errors */
  constructor(pieces: AsyncIterable<Buffer>, name: string) {
    this.#source = new ByteSource(pieces)
    this.#name = name
  }

  /** Of the frames read so far. */
  get sums(): FrameSums {
    const { frames, bytes, digest } = this.#sums
    return { frames, bytes, digest }
  }

  /** Reads what stands before the first frame. @throws BackupForeignError, BackupDamagedError */
  async start(): Promise<void> {
    const bytes = await this.#source.take(START_BYTES)
    const isOurs = bytes.subarray(0, MAGIC.length).equals(MAGIC.subarray(0, bytes.length))
    if (bytes.length === 0) throw new BackupForeignError(this.#name, 'it is empty')
    if (!isOurs) throw new BackupForeignError(this.#name, 'it is no backup of Headwater')
    if (bytes.length < START_BYTES) throw this.#cutShort()
    const version = bytes.readUInt32BE(8)
    if (version > VERSION) {
      throw new BackupForeignError(
        this.#name,
        `it has version ${version}, this Headwater reads up to ${VERSION}`,
        'use the Headwater that wrote it, or a newer one',
      )
    }
    if (version < 1) throw this.damaged('its version is 0')
  }

  /** @returns the next frame. @throws BackupDamagedError, also at the end: the trailer says that there is none */
  async next(): Promise<Frame> {
    this.#frameAt = this.#source.taken
    const head = await this.#source.take(HEAD_BYTES)
    if (head.length < HEAD_BYTES) throw this.#cutShort()
    if (head.readUInt32BE(5) !== checkOf(this.#sums.frames, head))
      throw this.damaged("a frame's head is wrong")
    const length = head.readUInt32BE(1)
    const kind = head[0] as FrameKind
    if (length > FRAME_BYTES_MAX) throw this.damaged(`a frame of ${length} bytes`)
    if (!Object.values(FrameKind).includes(kind)) throw this.damaged(`a frame of kind ${kind}`)
    const body = await this.#source.take(length + 4)
    if (body.length < length + 4) throw this.#cutShort()
    const payload = body.subarray(0, length)
    const crc = crc32c(payload)
    if (crc !== body.readUInt32BE(length)) throw this.damaged("a frame's CRC does not match its bytes")
    if (kind !== FrameKind.trailer) this.#sums.add(length, crc)
    return { kind, payload }
  }

  /** @throws BackupDamagedError where something follows */
  async end(): Promise<void> {
    this.#frameAt = this.#source.taken
    if ((await this.#source.take(1)).length > 0) throw this.damaged('something follows its end')
  }

  damaged(reason: string): BackupDamagedError {
    return new BackupDamagedError(this.#name, `${reason}, at byte ${this.#frameAt}`)
  }

  /** Lets go of the pieces. */
  close(): Promise<void> {
    return this.#source.close()
  }

  #cutShort(): BackupDamagedError {
    return new BackupDamagedError(this.#name, `it was cut short: it ends at byte ${this.#source.taken}`)
  }
}

/** Bytes out of pieces that are cut anywhere. */
class ByteSource {
  readonly #pieces: AsyncIterator<Buffer>
  #held: Buffer = Buffer.alloc(0)
  taken = 0

  constructor(pieces: AsyncIterable<Buffer>) {
    this.#pieces = pieces[Symbol.asyncIterator]()
  }

  /** Fewer bytes at the end alone. */
  async take(bytes: number): Promise<Buffer> {
    if (this.#held.length >= bytes) return this.#cut(bytes)
    // grown as bytes come: a length that nothing follows takes no memory
    const parts = [this.#held]
    let have = this.#held.length
    while (have < bytes) {
      const { done, value } = await this.#pieces.next()
      if (done === true) break
      parts.push(value)
      have += value.length
    }
    this.#held = Buffer.concat(parts, have)
    return this.#cut(Math.min(bytes, have))
  }

  async close(): Promise<void> {
    await this.#pieces.return?.()
  }

  #cut(bytes: number): Buffer {
    const cut = this.#held.subarray(0, bytes)
    this.#held = this.#held.subarray(bytes)
    this.taken += bytes
    return cut
  }
}
