/** Builds blocks as LevelDB does (table/block_builder.cc). */
import { maskedCrc } from '../../../../broker/storage/level-files/masked-crc.ts'

const RESTART_INTERVAL = 16

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left])
    bytes.push((left % 128) + 128)
  }
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

export function blockOf(pairs: readonly (readonly [Buffer, Buffer | string])[]): Buffer {
  const parts: Buffer[] = []
  const restarts: number[] = [0]
  let length = 0
  let last = Buffer.alloc(0)
  for (const [i, [key, value]] of pairs.entries()) {
    const isRestart = i % RESTART_INTERVAL === 0
    if (isRestart && i > 0) restarts.push(length)
    let shared = 0
    while (!isRestart && shared < Math.min(key.length, last.length) && key[shared] === last[shared]) shared++
    const bytes = Buffer.from(value)
    const own = key.length - shared
    const entry = [varint(shared), varint(own), varint(bytes.length), key.subarray(shared), bytes]
    parts.push(...entry)
    length += entry.reduce((sum, part) => sum + part.length, 0)
    last = Buffer.from(key)
  }
  return Buffer.concat([...parts, ...restarts.map(word), word(restarts.length)])
}

export function withTrailer(block: Buffer, type = 0): Buffer {
  const typed = Buffer.concat([block, Buffer.of(type)])
  return Buffer.concat([typed, word(maskedCrc(typed))])
}
