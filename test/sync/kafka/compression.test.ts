/** Compressed batches: what they are made of, and that whoever reads Kafka can expand them. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { compressionsAlgorithmsByBitmask } from '@platformatic/kafka'
import { describe, expect, it } from 'vitest'
import { BatchBuilder, batchFault, NO_HEADERS, readRecords } from '../../../broker/index.ts'
import { BatchCompressor, type Codec } from '../../../sync/kafka/compression.ts'
import { createTopic, describeWithKafka, readTopic, uniqueName } from '../../support/kafka/index.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { settled } from './kafka-place.ts'
import { openKafka } from './open-kafka.ts'

type Compressing = Exclude<Codec, 'none'>
const CODECS: readonly Compressing[] = [
  'gzip',
  'snappy',
  'lz4',
  ...('createZstdCompress' in zlib ? ['zstd' as const] : []),
]
const CODES = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

function batchOf(values: readonly Buffer[]): Buffer {
  const builder = new BatchBuilder()
  for (const value of values) builder.append(1_700_000_000_000, Buffer.from('key'), value, NO_HEADERS)
  return Buffer.from(builder.seal(0))
}

const text = Array.from({ length: 200 }, (_, i) =>
  Buffer.from(`{"sensor":"t-${i % 5}","celsius":${20 + (i % 3)}}`),
)

describe.each(CODECS)('batches compressed with %s', (codec) => {
  it('are smaller, whole by Kafka’s rules, and expand to the same records', async () => {
    const batch = batchOf(text)
    const compressed = await new BatchCompressor(codec, null).compress(batch)
    expect(compressed.length).toBeLessThan(batch.length / 2)
    expect(batchFault(compressed)).toBeNull()
    expect(compressed.readInt16BE(21)).toBe(CODES[codec])
    expect(compressed.subarray(23, 61)).toEqual(batch.subarray(23, 61))
    const { decompressSync } = compressionsAlgorithmsByBitmask[CODES[codec]]!
    expect(decompressSync(compressed.subarray(61))).toEqual(batch.subarray(61))
  })

  it('keep the attributes that were there', async () => {
    const batch = batchOf(text)
    batch.writeInt16BE(0x10, 21)
    const compressed = await new BatchCompressor(codec, null).compress(batch)
    expect(compressed.readInt16BE(21)).toBe(0x10 | CODES[codec])
  })

  it('stay as they are where compressing gains nothing', async () => {
    const { byte } = seededBytes()
    const noise = batchOf([Buffer.from(Array.from({ length: 4000 }, byte))])
    expect(await new BatchCompressor(codec, null).compress(noise)).toBe(noise)
    const small = batchOf([Buffer.from('a'.repeat(100))])
    expect(await new BatchCompressor(codec, null).compress(small)).toBe(small)
  })
})

function seededBytes() {
  const random = seededRandom(testSeed())
  return { byte: () => random.between(0, 255) }
}

const hasKcat = await promisify(execFile)('kcat', ['-V']).then(
  () => true,
  () => false,
)

async function send(bootstrap: string, name: string, compression: Codec): Promise<MemoryLog> {
  const log = new MemoryLog().addStream('events', 1)
  log.appendMany('events', 0, 500, 25)
  const upstream = openKafka(bootstrap, name, { options: { compression } })
  await upstream.recover(log.identity, log.partitions())
  await upstream.send(roundFrom(log, new Map()))
  await upstream.close()
  await settled(bootstrap, `${name}.${testIdentity().edge}`)
  return log
}

const valuesOf = (log: MemoryLog) =>
  log.commits.flatMap(({ bytes }) => [...readRecords(bytes)].map(({ value }) => value!.toString()))

describeWithKafka('records in a real Kafka', ({ bootstrap }) => {
  it.each(CODECS)('are read back from %s by another client', async (compression) => {
    const name = uniqueName(compression)
    const log = await send(bootstrap, name, compression)
    const records = await readTopic(bootstrap, `${name}-events`)
    expect(records.map(({ value }) => value!.toString())).toEqual(valuesOf(log))
  })

  // The broker expands them with the codecs of Java's clients and writes them plain.
  it.each(CODECS)('are expanded from %s by the broker itself', async (compression) => {
    const name = uniqueName(`${compression}-plain`)
    await createTopic(bootstrap, `${name}-events`, 1, { 'compression.type': 'uncompressed' })
    const log = await send(bootstrap, name, compression)
    const records = await readTopic(bootstrap, `${name}-events`)
    expect(records.map(({ value }) => value!.toString())).toEqual(valuesOf(log))
  })

  it.runIf(hasKcat).each(CODECS)('are read from %s by librdkafka', async (compression) => {
    const name = uniqueName(`${compression}-kcat`)
    const log = await send(bootstrap, name, compression)
    const args = [
      '-C',
      '-q',
      '-e',
      '-b',
      bootstrap,
      '-t',
      `${name}-events`,
      '-X',
      'isolation.level=read_committed',
    ]
    const { stdout } = await promisify(execFile)('kcat', [...args, '-o', 'beginning', '-f', '%s\n'])
    expect(stdout.trim().split('\n')).toEqual(valuesOf(log))
  })
})
