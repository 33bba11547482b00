/**
 * A batch's records, whatever its codec. The codecs are those that Kafka's client library brings; zstd works where node:zlib has
 * it. Java writes snappy in blocks with a head of their own:
 *
 *   snappy := block | 0x82 "SNAPPY" 0 version:int32 compatible:int32 (bytes:int32 block)*
 */
import * as zlib from 'node:zlib'
import { lz4Decompress, snappyDecompress } from '@platformatic/wasm-utils'
import { attributesOf, BATCH_HEADER_BYTES } from '../../broker/index.ts'
import { WireAnswerError } from './wire.ts'

const CODEC_MASK = 0x07
const JAVA_SNAPPY = Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0])
const JAVA_SNAPPY_HEAD_BYTES = 16
/** Node has it since 22.15. */
const { zstdDecompressSync } = zlib as {
  zstdDecompressSync?: (bytes: Uint8Array, limit: { maxOutputLength: number }) => Buffer
}
/** What a batch may become: more is not data that a producer would have sent. */
const PLAIN_BYTES_MAX = 128 * 1024 * 1024

/** @returns the batch with its records uncompressed; its CRC is not made anew. @throws WireAnswerError */
export function plainBatch(batch: Buffer): Buffer {
  const attributes = attributesOf(batch)
  const codec = attributes & CODEC_MASK
  if (codec === 0) return batch
  const records = decompress(codec, batch.subarray(BATCH_HEADER_BYTES))
  const plain = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), records])
  plain.writeInt32BE(plain.length - 12, 8)
  plain.writeInt16BE(attributes & ~CODEC_MASK, 21)
  return plain
}

function decompress(codec: number, bytes: Buffer): Uint8Array {
  const limit = { maxOutputLength: PLAIN_BYTES_MAX }
  switch (codec) {
    case 1:
      return zlib.gunzipSync(bytes, limit)
    case 2:
      return unsnap(bytes)
    case 3:
      return lz4Decompress(bytes)
    case 4:
      if (zstdDecompressSync === undefined) {
        throw new WireAnswerError(
          'UNSUPPORTED_COMPRESSION_TYPE',
          'Fetch',
          'records compressed with zstd need Node 22.15 or newer',
        )
      }
      return zstdDecompressSync(bytes, limit)
    default:
      throw new WireAnswerError('UNSUPPORTED_COMPRESSION_TYPE', 'Fetch', `compression ${codec} is unknown`)
  }
}

function unsnap(bytes: Buffer): Uint8Array {
  if (!bytes.subarray(0, JAVA_SNAPPY.length).equals(JAVA_SNAPPY)) return snappyDecompress(bytes)
  const blocks: Uint8Array[] = []
  for (let at = JAVA_SNAPPY_HEAD_BYTES; at < bytes.length; ) {
    const from = at + 4
    at = from + bytes.readInt32BE(at)
    blocks.push(snappyDecompress(bytes.subarray(from, at)))
  }
  return Buffer.concat(blocks)
}
