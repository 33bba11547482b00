import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { murmur2, partitionOf } from '../../../broker/log/murmur2.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

type Partitioner = (choice: {
  topic: string
  partitionMetadata: { partitionId: number; leader: number }[]
  message: { key: Buffer }
}) => number

const require = createRequire(import.meta.url)
const { DefaultPartitioner } = require('kafkajs').Partitioners as { DefaultPartitioner: () => Partitioner }

describe('murmur2', () => {
  it('gives the hashes that Kafka’s own tests expect', () => {
    for (const [key, hash] of [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
      ['abc', 479470107],
    ] as const) {
      expect(murmur2(Buffer.from(key)), key).toBe(hash)
    }
  })

  it('sees a view’s own bytes, whatever stands around it', () => {
    const around = Buffer.from('xxfoobarxx')
    expect(murmur2(around.subarray(2, 8))).toBe(-790332482)
    expect(murmur2(around, 2, 8)).toBe(-790332482)
  })

  it('puts any key on the partition where kafkajs puts it', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const partitioner = DefaultPartitioner()
    for (let i = 0; i < 2000; i++) {
      const key = Buffer.from(Array.from({ length: random.between(0, 40) }, () => random.between(0, 255)))
      const partitions = random.between(1, 64)
      const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
        partitionId,
        leader: 1,
      }))
      const theirs = partitioner({ topic: 't', partitionMetadata, message: { key } })
      expect(partitionOf(key, partitions), `seed ${seed}: ${key.toString('hex')} of ${partitions}`).toBe(
        theirs,
      )
    }
  })
})
