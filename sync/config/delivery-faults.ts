/** What is wrong with how an upstream's records are to be sent, as far as a schema cannot say it. */
import zlib from 'node:zlib'
import type { KafkaUpstreamConfig } from './kafka.ts'

export interface Fault {
  readonly path: string[]
  readonly message: string
  readonly hint: string
}

const GZIP_LEVEL_MAX = 9

/** @param hasZstd whether this Node.js can compress with zstd: since 22.15 */
export function deliveryFaults(config: KafkaUpstreamConfig, hasZstd = 'createZstdCompress' in zlib): Fault[] {
  const { mode, provenance, compression, compressionLevel } = config
  const faults: Fault[] = []
  if (mode === 'fleet' && provenance === 'none') {
    faults.push({
      path: ['provenance'],
      message: 'fleet mode without hw.origin: a record that comes twice could not be told',
      hint: 'set provenance: record, or mode: exactly-once',
    })
  }
  if (compression === 'zstd' && !hasZstd) {
    faults.push({
      path: ['compression'],
      message: `zstd needs Node.js 22.15, this is ${process.version}`,
      hint: 'set compression: gzip (the fewest bytes here) or lz4 (the least time), or run a newer Node.js',
    })
  }
  if (compressionLevel !== undefined && compression !== 'gzip' && compression !== 'zstd') {
    const hint = 'take it out, or set compression: gzip'
    faults.push({ path: ['compressionLevel'], message: `${compression} has no levels`, hint })
  }
  if (compression === 'gzip' && (compressionLevel ?? 1) > GZIP_LEVEL_MAX) {
    const hint = `set 1 to ${GZIP_LEVEL_MAX}`
    faults.push({ path: ['compressionLevel'], message: `gzip has no level ${compressionLevel}`, hint })
  }
  return faults
}
