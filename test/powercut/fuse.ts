/**
 * One file in user space: the kernel's FUSE protocol (linux/fuse.h, 7.31) as far as a loop device needs it of its backing file. A loop
 * device hands the flushes of the file system on it to its backing file as fsync, so that whoever serves this file is the disk.
 *
 *   request := length:u32 opcode:u32 unique:u64 node:u64 uid:u32 gid:u32 pid:u32 padding:u32 body
 *   reply   := length:u32 error:i32 unique:u64 body          error is 0 or a negative errno; all little-endian
 *
 * The file itself is mounted: it is the root, so there are no names to look up.
 */
import { openSync, read as readCallback, writevSync } from 'node:fs'

export const FUSE_DEVICE = '/dev/fuse'
const ROOT_NODE = 1n
const REQUEST_HEADER_BYTES = 40
const WRITE_HEADER_BYTES = 40
const REPLY_HEADER_BYTES = 16
/** A write comes in pieces of at most this; the buffer below has room for one and its headers. */
const WRITE_BYTES_MAX = 1024 * 1024
const PAGES_MAX = WRITE_BYTES_MAX / 4096
const FILE_MODE = 0o100600
/** How long the kernel may remember size and mode, s. */
const ATTRIBUTES_SECONDS = 3600n
const PROTOCOL = { major: 7, minor: 31 } as const
/** FUSE_BIG_WRITES, FUSE_MAX_PAGES */
const INIT_FLAGS = (1 << 5) | (1 << 22)
/** FOPEN_DIRECT_IO: nothing of the file stands in the page cache; each read and write comes here. */
const OPEN_DIRECT = 1
const ENOSYS = 38

const Opcode = {
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const

export type Request =
  | { readonly kind: 'read'; readonly at: number; readonly bytes: number }
  /** `data` is used again after the answer. */
  | { readonly kind: 'write'; readonly at: number; readonly data: Buffer }
  | { readonly kind: 'flush' }

/** @returns what was read; nothing else is looked at. */
export type Answer = (read?: Buffer) => void

/**
 * Serves the file until it is unmounted. The next request is taken after the answer to the one before: who does not answer, halts
 * the disk.
 */
export class FuseFile {
  readonly #fd: number
  readonly #sizeBytes: number
  readonly #buffer = Buffer.alloc(WRITE_BYTES_MAX + 4096)
  readonly #handle: (request: Request, answer: Answer) => void
  readonly #ended: () => void

  /** @param ended called once, when the file is mounted no more */
  constructor(sizeBytes: number, handle: (request: Request, answer: Answer) => void, ended: () => void) {
    this.#fd = openSync(FUSE_DEVICE, 'r+')
    this.#sizeBytes = sizeBytes
    this.#handle = handle
    this.#ended = ended
  }

  /** For the mount command, as its own descriptor. */
  get fd(): number {
    return this.#fd
  }

  /** Options of the mount that names this descriptor. */
  static mountOptions(fd: number): string {
    return `fd=${fd},rootmode=${FILE_MODE.toString(8)},user_id=0,group_id=0,default_permissions`
  }

  /** Call it once, after the mount. */
  serve(): void {
    readCallback(this.#fd, this.#buffer, 0, this.#buffer.length, null, (error, bytes) => {
      if (error === null) {
        this.#take(this.#buffer.subarray(0, bytes))
        return
      }
      // ENOENT: the request was taken back; ENODEV: unmounted
      if (['ENOENT', 'EINTR', 'EAGAIN'].includes(error.code ?? '')) this.serve()
      else this.#ended()
    })
  }

  #take(request: Buffer): void {
    const opcode = request.readUInt32LE(4)
    const unique = request.readBigUInt64LE(8)
    const body = request.subarray(REQUEST_HEADER_BYTES)
    switch (opcode) {
      case Opcode.read: {
        const [at, bytes] = rangeOf(body)
        this.#handle({ kind: 'read', at, bytes }, (read) => this.#answer(unique, read))
        return
      }
      case Opcode.write: {
        const [at, bytes] = rangeOf(body)
        const data = body.subarray(WRITE_HEADER_BYTES, WRITE_HEADER_BYTES + bytes)
        this.#handle({ kind: 'write', at, data }, () => this.#answer(unique, written(bytes)))
        return
      }
      case Opcode.fsync:
        this.#handle({ kind: 'flush' }, () => this.#answer(unique))
        return
      case Opcode.forget:
      case Opcode.batchForget:
      case Opcode.interrupt:
        this.serve() // has no reply
        return
      default:
        this.#answerOther(opcode, unique)
    }
  }

  #answerOther(opcode: number, unique: bigint): void {
    switch (opcode) {
      case Opcode.init:
        this.#answer(unique, initReply())
        return
      case Opcode.getattr:
      case Opcode.setattr:
        this.#answer(unique, attributes(this.#sizeBytes))
        return
      case Opcode.open:
        this.#answer(unique, opened())
        return
      case Opcode.release:
      case Opcode.flush:
      case Opcode.destroy:
        this.#answer(unique)
        return
      default:
        this.#reply(unique, -ENOSYS)
        this.serve()
    }
  }

  #answer(unique: bigint, body?: Buffer): void {
    this.#reply(unique, 0, body)
    this.serve()
  }

  #reply(unique: bigint, error: number, body: Buffer = Buffer.alloc(0)): void {
    const header = Buffer.alloc(REPLY_HEADER_BYTES)
    header.writeUInt32LE(REPLY_HEADER_BYTES + body.length, 0)
    header.writeInt32LE(error, 4)
    header.writeBigUInt64LE(unique, 8)
    try {
      writevSync(this.#fd, [header, body])
    } catch (cause) {
      // ENOENT: nobody waits for it any more
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    }
  }
}

/** struct fuse_read_in, fuse_write_in: fh:u64 offset:u64 size:u32 … */
function rangeOf(body: Buffer): [at: number, bytes: number] {
  return [Number(body.readBigUInt64LE(8)), body.readUInt32LE(16)]
}

/** struct fuse_init_out */
function initReply(): Buffer {
  const body = Buffer.alloc(64)
  body.writeUInt32LE(PROTOCOL.major, 0)
  body.writeUInt32LE(PROTOCOL.minor, 4)
  body.writeUInt32LE(WRITE_BYTES_MAX, 8) // max_readahead
  body.writeUInt32LE(INIT_FLAGS, 12)
  body.writeUInt16LE(16, 16) // max_background
  body.writeUInt16LE(12, 18) // congestion_threshold
  body.writeUInt32LE(WRITE_BYTES_MAX, 20)
  body.writeUInt32LE(1, 24) // time_gran, ns
  body.writeUInt16LE(PAGES_MAX, 28)
  return body
}

/** struct fuse_attr_out */
function attributes(sizeBytes: number): Buffer {
  const body = Buffer.alloc(16 + 88)
  body.writeBigUInt64LE(ATTRIBUTES_SECONDS, 0)
  const attr = body.subarray(16)
  attr.writeBigUInt64LE(ROOT_NODE, 0)
  attr.writeBigUInt64LE(BigInt(sizeBytes), 8)
  attr.writeBigUInt64LE(BigInt(sizeBytes / 512), 16)
  attr.writeUInt32LE(FILE_MODE, 60)
  attr.writeUInt32LE(1, 64) // links
  attr.writeUInt32LE(4096, 80) // block size
  return body
}

/** struct fuse_open_out */
function opened(): Buffer {
  const body = Buffer.alloc(16)
  body.writeUInt32LE(OPEN_DIRECT, 8)
  return body
}

/** struct fuse_write_out */
function written(bytes: number): Buffer {
  const body = Buffer.alloc(8)
  body.writeUInt32LE(bytes, 0)
  return body
}
