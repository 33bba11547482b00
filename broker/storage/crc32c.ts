/**
 * CRC-32C (Castagnoli), the checksum of RecordBatch v2 and of LevelDB's log records.
 * Native (@node-rs/crc32, prebuilt for x64, arm64 and armv7) runs at 6 GB/s; where its binary does not load,
 * the WASM one (1.7 GB/s, any CPU) serves.
 */
import { createRequire } from 'node:module'

type Crc32c = (bytes: Uint8Array) => number

function load(): Crc32c {
  const require = createRequire(import.meta.url)
  try {
    return (require('@node-rs/crc32') as { crc32c: Crc32c }).crc32c
  } catch {
    return (require('@platformatic/wasm-utils') as { crc32c: Crc32c }).crc32c
  }
}

/** @returns the CRC as an unsigned 32-bit number. */
export const crc32c: Crc32c = load()
