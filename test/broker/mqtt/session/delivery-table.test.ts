/** The delivery table beside a plain model of it, in memory and through its bytes. */
import { expect, it } from 'vitest'
import { CHUNK_SLOTS, DeliveryTable } from '../../../../broker/mqtt/session/delivery-table.ts'
import { playLives, type Random } from '../../../support/random.ts'

interface Row {
  partition: number
  offset: number
  qos: 0 | 1 | 2
  isRetained: boolean
  identifiers: readonly number[]
  packetId: number
  isReleased: boolean
}

const IDENTIFIERS = [[], [1], [268_435_455], [3, 4]]

function rowOf(table: DeliveryTable, seq: number): Row {
  return {
    partition: table.partitionOf(seq),
    offset: table.offsetOf(seq),
    qos: table.qosOf(seq),
    isRetained: table.isRetained(seq),
    identifiers: table.identifiersOf(seq),
    packetId: table.packetIdOf(seq),
    isReleased: table.isReleased(seq),
  }
}

function check(table: DeliveryTable, model: ReadonlyMap<number, Row>): void {
  expect([...table.live()].map((seq) => [seq, rowOf(table, seq)])).toEqual(
    [...model].toSorted(([a], [b]) => a - b),
  )
  expect(table.count).toBe(model.size)
  const lowest = Math.min(...model.keys())
  expect(table.head).toBe(model.size === 0 ? table.tail : lowest)
}

function change(random: Random, table: DeliveryTable, model: Map<number, Row>): void {
  const roll = random.between(0, 9)
  const seqs = [...model.keys()]
  if (roll < 5 || seqs.length === 0) {
    const row: Row = {
      partition: random.between(0, 1) === 0 ? random.between(0, 70_000) : 0xffffffff,
      offset: random.between(0, 2 ** 40),
      qos: random.between(1, 2) as 1 | 2,
      isRetained: random.between(0, 1) === 1,
      identifiers: IDENTIFIERS[random.between(0, 3)]!,
      packetId: 0,
      isReleased: false,
    }
    model.set(table.append(row), row)
    return
  }
  // most often one of the first
  const seq = seqs[random.between(0, Math.min(seqs.length - 1, random.between(0, 3) * 40))]!
  const row = model.get(seq)!
  if (roll < 6) {
    row.packetId = random.between(1, 65_535)
    table.setSent(seq, row.packetId)
  } else if (roll < 7) {
    row.isReleased = true
    table.setReleased(seq)
  } else {
    model.delete(seq)
    table.remove(seq)
  }
}

it('holds what was put in, and its chunks bring it back', () =>
  playLives(20, async (random) => {
    let table = new DeliveryTable(true)
    const model = new Map<number, Row>()
    const stored = new Map<number, Buffer>()
    for (let step = 0; step < 1_500; step++) {
      change(random, table, model)
      if (random.between(0, 99) === 0)
        for (const seq of [...model.keys()].slice(0, 400)) remove(table, model, seq)
      if (random.between(0, 29) > 0) continue
      for (const [chunk, bytes] of table.takeDirty()) {
        if (bytes === null) expect(stored.delete(chunk)).toBe(true)
        else stored.set(chunk, Buffer.from(bytes))
      }
      check(table, model)
      if (random.between(0, 3) > 0) continue
      const again = new DeliveryTable(true)
      for (const [chunk, bytes] of stored) again.load(chunk, bytes)
      expect([...again.live()].map((seq) => [seq, rowOf(again, seq)])).toEqual(
        [...model].toSorted(([a], [b]) => a - b),
      )
      expect(again.takeDirty()).toEqual([])
      // the number after the last one may be used again: nothing on disk has it
      if (model.size > 0) table = again
    }
  }))

function remove(table: DeliveryTable, model: Map<number, Row>, seq: number): void {
  model.delete(seq)
  table.remove(seq)
}

it('writes the chunks that changed, not the others', () => {
  const table = new DeliveryTable(true)
  const entry = { partition: 1, offset: 1, qos: 1 as const, isRetained: false, identifiers: [] }
  for (let n = 0; n < 10 * CHUNK_SLOTS; n++) table.append(entry)
  expect(table.takeDirty()).toHaveLength(10)
  table.append(entry)
  table.remove(0)
  expect(
    table
      .takeDirty()
      .map(([chunk]) => chunk)
      .toSorted((a, b) => a - b),
  ).toEqual([0, 10])
})

it('writes nothing of what came and went between two checkpoints, and removes what was written', () => {
  const table = new DeliveryTable(true)
  const entry = { partition: 1, offset: 1, qos: 1 as const, isRetained: false, identifiers: [] }
  table.remove(table.append(entry))
  expect(table.takeDirty()).toEqual([])
  const seq = table.append(entry)
  expect(table.takeDirty()).toHaveLength(1)
  table.remove(seq)
  expect(table.takeDirty()).toEqual([[0, null]])
})

it('gives a message without identifiers to who has more combinations of them under way than it counts', () => {
  const table = new DeliveryTable(false)
  for (let n = 1; n <= 300; n++)
    table.append({ partition: 0, offset: n, qos: 1, isRetained: false, identifiers: [n] })
  expect(table.identifiersOf(254)).toEqual([255])
  expect(table.identifiersOf(255)).toEqual([])
})
