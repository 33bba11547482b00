/**
 * Compresses the records of a spliced batch. The header stays as it is but for two bits of its attributes, the length and
 * the CRC (record-batch.ts); Kafka's brokers store such a batch as it comes and its consumers expand it.
 *
 *   batch := header(61) codec(records)      attributes, bits 0-2: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
 *
 *   gzip    RFC 1952                  zlib's threads do it
 *   snappy  the raw format, without the xerial frame of Java's stream: Kafka's brokers and consumers, librdkafka and the
 *           JavaScript clients read it, and the last-named read no other
 *   lz4     the LZ4 frame format, version 1
 *   zstd    RFC 8878; where node:zlib has it, since Node 22.15
 */
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { BATCH_HEADER_BYTES, crc32c } from '../../broker/index.ts'

export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

const ATTRIBUTES_AT = 21
const CODES: Readonly<Record<Codec, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/** Measured on sensor JSON: level 1 is 3 times as quick as 6, for 8 % more bytes. Zstandard's own default is 3. */
const LEVEL_DEFAULTS = { gzip: 1, zstd: 3 } as const
/** Below this a codec's own frame eats what it saves. */
const PLAIN_BYTES_MAX = 256

interface Wasm {
  lz4Compress(data: Buffer): Buffer
  snappyCompress(data: Buffer): Buffer
}

/** What Node's types of 20 do not have. */
interface Zstd {
  zstdCompress?(data: Buffer, options: object, done: (error: Error | null, result: Buffer) => void): void
  constants: { ZSTD_c_compressionLevel?: number }
}
const zstd = zlib as unknown as Zstd

const gzip = promisify(zlib.gzip) as (data: Buffer, options: zlib.ZlibOptions) => Promise<Buffer>

let wasm: Wasm | null = null
/** Loaded with the first batch that needs it: it takes memory of its own. */
function wasmCodecs(): Wasm {
  wasm ??= createRequire(import.meta.url)('@platformatic/wasm-utils') as Wasm
  return wasm
}

/** Compresses one block of records. */
function compressor(codec: Exclude<Codec, 'none'>, level: number | null): (data: Buffer) => Promise<Buffer> {
  switch (codec) {
    case 'gzip':
      return (data) => gzip(data, { level: level ?? LEVEL_DEFAULTS.gzip })
    case 'snappy':
      return async (data) => wasmCodecs().snappyCompress(data)
    case 'lz4':
      return async (data) => wasmCodecs().lz4Compress(data)
    case 'zstd': {
      const compress = promisify(zstd.zstdCompress!) as (data: Buffer, options: object) => Promise<Buffer>
      const params = { [zstd.constants.ZSTD_c_compressionLevel!]: level ?? LEVEL_DEFAULTS.zstd }
      return (data) => compress(data, { params })
    }
  }
}

export class BatchCompressor {
  readonly #code: number
  readonly #compress: (data: Buffer) => Promise<Buffer>

  constructor(codec: Exclude<Codec, 'none'>, level: number | null) {
    this.#code = CODES[codec]
    this.#compress = compressor(codec, level)
  }

  /** @returns a batch of its own; or `batch` itself where compressing does not make it smaller */
  async compress(batch: Buffer): Promise<Buffer> {
    const records = batch.subarray(BATCH_HEADER_BYTES)
    if (records.length <= PLAIN_BYTES_MAX) return batch
    const compressed = await this.#compress(records)
    if (compressed.length >= records.length) return batch
    const out = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + compressed.length)
    batch.copy(out, 0, 0, BATCH_HEADER_BYTES)
    compressed.copy(out, BATCH_HEADER_BYTES)
    out.writeInt32BE(out.length - 12, 8)
    out.writeInt16BE(batch.readInt16BE(ATTRIBUTES_AT) | this.#code, ATTRIBUTES_AT)
    out.writeUInt32BE(crc32c(out.subarray(ATTRIBUTES_AT)), 17)
    return out
  }
}
