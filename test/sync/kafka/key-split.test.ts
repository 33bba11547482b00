import { describe, expect, it } from 'vitest'
import { BatchBuilder, encodeHeaders, type LogRecord, readRecords } from '../../../broker/index.ts'
import { partitionOf } from '../../../broker/log/murmur2.ts'
import { KeySplitter } from '../../../sync/kafka/key-split.ts'
import type { RoundPart } from '../../../sync/upstream.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { storedBatch, withGaps } from '../stored-batches.ts'

const random = seededRandom(testSeed())

function part(partition: number, batches: readonly Buffer[], fromOffset = 0): RoundPart {
  const stored = batches.map((bytes) => storedBatch('events', partition, bytes))
  return { stream: 'events', partition, fromOffset, nextOffset: stored.at(-1)!.nextOffset, batches: stored }
}

function randomPart(partition: number): RoundPart {
  const batches: Buffer[] = []
  let offset = random.between(0, 1000)
  const first = offset
  for (let b = random.between(1, 5); b > 0; b--) {
    const builder = new BatchBuilder()
    const count = random.between(1, 30)
    for (let i = 0; i < count; i++) {
      const key = random.between(0, 4) === 0 ? null : Buffer.from(`key-${random.between(0, 12)}`)
      const value = Buffer.alloc(random.between(0, 300), random.between(0, 255))
      const headers = encodeHeaders(random.between(0, 2) === 0 ? [{ key: 'h', value: Buffer.from('v') }] : [])
      builder.append(1_700_000_000_000 + random.between(-5000, 5000), key, value, headers)
    }
    let at = -1
    const deltas = Array.from({ length: count }, () => (at += random.between(1, 3)))
    const bytes = withGaps(Buffer.from(builder.seal(offset)), deltas)
    batches.push(bytes)
    offset += at + 1 + random.between(0, 5)
  }
  return part(partition, batches, random.between(first, offset - 1))
}

const records = ({ batches, fromOffset }: RoundPart): LogRecord[] =>
  batches.flatMap(({ bytes }) => [...readRecords(bytes)]).filter(({ offset }) => offset >= fromOffset)

describe('splitting by key', () => {
  it('puts each record once where Kafka’s clients put its key, in order, with its own offset and time', () => {
    const splitter = new KeySplitter()
    for (let round = 0; round < 30; round++) {
      const width = random.between(1, 9)
      const parts = Array.from({ length: random.between(1, 4) }, (_, partition) => randomPart(partition))
      for (const [i, split] of splitter.split(parts, width).entries()) {
        const original = parts[i]!
        const target = (key: Buffer | null) =>
          key === null ? original.partition % width : partitionOf(key, width)
        for (let lane = 0; lane < width; lane++) {
          const wanted = records(original).filter(({ key }) => target(key) === lane)
          const found = split.get(lane)
          expect(found === undefined ? [] : records(found)).toEqual(wanted)
          if (found !== undefined)
            expect(found).toMatchObject({ stream: 'events', partition: original.partition })
        }
      }
    }
  })

  it('gives nothing to a lane that gets no record, and nothing at all for a part that compaction emptied', () => {
    const builder = new BatchBuilder()
    builder.append(0, Buffer.from('a'), null, encodeHeaders([]))
    const stored = Buffer.from(builder.seal(7))
    const [one] = new KeySplitter().split([part(0, [stored], 7)], 5)
    expect([...one!.keys()]).toEqual([partitionOf(Buffer.from('a'), 5)])
    const [none] = new KeySplitter().split([{ ...part(0, [stored], 8), nextOffset: 12 }], 5)
    expect(none!.size).toBe(0)
  })
})
