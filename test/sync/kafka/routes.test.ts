import { describe, expect, it } from 'vitest'
import {
  encodePackedMetadata,
  METADATA_BYTES_MAX,
  parseMetadata,
} from '../../../sync/kafka/checkpoint-metadata.ts'
import { packPartitions, unpackPartitions } from '../../../sync/kafka/packed-partitions.ts'
import { carriersOf, packPositions, unpackPositions } from '../../../sync/kafka/packed-positions.ts'
import { chooseMapping, type Mapping, type Partitioning } from '../../../sync/kafka/routes.ts'

const IDENTITY: Mapping = { kind: 'identity' }
const key = (width: number): Mapping => ({ kind: 'key', width })

function choose(
  partitions: number,
  topicPartitions: number,
  partitioning: Partitioning = 'auto',
  recorded: Mapping | null = null,
) {
  const facts = { stream: 'events', topic: 'plant', partitions, topicPartitions, recorded }
  return chooseMapping(partitioning, facts, 'kafka:9092')
}

describe('the mapping of a stream to its topic', () => {
  it('is identity where both have as many partitions, and by key over all of the topic’s else', () => {
    expect(choose(4, 4)).toEqual(IDENTITY)
    expect(choose(4, 3)).toEqual(key(3))
    expect(choose(4, 6)).toEqual(key(6))
    expect(choose(4, 4, 'key')).toEqual(key(4))
    expect(choose(4, 6, 'identity')).toEqual(IDENTITY)
  })

  it('stays what the checkpoint says when the topic gets more partitions', () => {
    expect(choose(4, 8, 'auto', IDENTITY)).toEqual(IDENTITY)
    expect(choose(4, 8, 'auto', key(3))).toEqual(key(3))
    expect(choose(4, 8, 'key', key(3))).toEqual(key(3))
    expect(choose(4, 4, 'auto', key(3))).toEqual(key(3))
  })

  it('is refused where the configuration wants another than the checkpoint says, or too few partitions are there', () => {
    const refused = (hint: RegExp) =>
      expect.objectContaining({ code: 'HW_PARTITION_MISMATCH', hint: expect.stringMatching(hint) })
    expect(() => choose(4, 4, 'key', IDENTITY)).toThrow(refused(/by identity; take partitioning out/))
    expect(() => choose(4, 4, 'identity', key(4))).toThrow(refused(/by key/))
    expect(() => choose(4, 3, 'identity')).toThrow(refused(/--alter --topic plant --partitions 4; or .* key/))
    expect(() => choose(1024, 7)).toThrow(refused(/--partitions 8/))
    expect(choose(1024, 8)).toEqual(key(8))
  })
})

describe('packed positions', () => {
  const positions = new Map([
    [2, { next: 41, proof: null }],
    [10, { next: 1296, proof: 0xdeadbeef }],
  ])
  const uneven = new Map([[3, { next: 36, proof: null, isUneven: true }]])

  it('are as the example says, and come back', () => {
    expect(packPositions(positions)).toBe('2.15.;a.100.1ps9wxb')
    expect(unpackPositions('2.15.;a.100.1ps9wxb')).toEqual(positions)
    expect(unpackPositions('3.10.!')).toEqual(uneven)
    expect(packPositions(unpackPositions('3.10.!')!)).toBe('3.10.!')
  })

  it('are refused when something else wrote them', () => {
    for (const text of [
      '',
      '1',
      '1.2',
      '1.2.3.4',
      '1.2.3;',
      '-1.2.3',
      '1.2.3;1.2.3',
      '1.zzzzzzzzzzz.',
      '1.2.G',
      '1.2.!!',
    ]) {
      expect(unpackPositions(text), text).toBeNull()
    }
  })

  it('of as many partitions as a carrier can have fit beside its offset, however large they are', () => {
    const most = new Map<number, { next: number; proof: number; isUneven: true }>()
    const partitions = 1024
    for (let partition = partitions - 1; partition >= 0; partition -= carriersOf(partitions)) {
      most.set(partition, { next: Number.MAX_SAFE_INTEGER, proof: 0xffffffff, isUneven: true })
    }
    const text = encodePackedMetadata({
      incarnation: '11111111-1111-4111-8111-111111111111',
      stream: 's'.repeat(249),
      cluster: 'c'.repeat(22),
      topicId: '11111111-1111-4111-8111-111111111111',
      width: 2 ** 31 - 1,
      positions: most,
      at: Number.MAX_SAFE_INTEGER,
      epoch: 2 ** 31 - 1,
      sources: new Set(Array.from({ length: partitions }, (_, partition) => partition)),
      isBehind: true,
    })
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(METADATA_BYTES_MAX)
    const sources = expect.objectContaining({ size: partitions })
    expect(parseMetadata(text)).toMatchObject({ kind: 'packed', positions: most, sources, isBehind: true })
  })
})

describe('packed partitions', () => {
  it('are as the examples say, and come back', () => {
    for (const [set, text] of [
      [[0, 1, 2], 'Bw=='],
      [[9], 'AAI='],
      [[], ''],
    ] as const) {
      expect(packPartitions(new Set(set))).toBe(text)
      expect([...unpackPartitions(text)]).toEqual(set)
    }
    const all = new Set(Array.from({ length: 1024 }, (_, partition) => partition))
    expect(packPartitions(all)).toHaveLength(172)
    expect(unpackPartitions(packPartitions(all))).toEqual(all)
  })
})
