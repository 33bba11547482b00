import { describe, expect, it } from 'vitest'
import { planReads } from '../../../firmware-bridge/modbus/read-plan.ts'
import { register } from './config.ts'

const planned = (...registers: Parameters<typeof register>[]) =>
  planReads(registers.map((each) => register(...each))).map(({ kind, address, count }) => [
    kind,
    address,
    count,
  ])

describe('reads', () => {
  it('take neighbours together, and nothing that was not named', () => {
    expect(planned([2], [0], [1], [4])).toEqual([
      ['holding', 0, 3],
      ['holding', 4, 1],
    ])
  })

  it('are as wide as what is in the registers', () => {
    expect(planned([0, { type: 'float32' }], [2, { type: 'int32' }], [4])).toEqual([['holding', 0, 5]])
    expect(planned([0, { type: 'uint32' }], [3])).toEqual([
      ['holding', 0, 2],
      ['holding', 3, 1],
    ])
  })

  it('are of one kind each', () => {
    const kinds = ['discrete', 'coil', 'input', 'holding'] as const
    expect(planned(...kinds.map((kind) => [0, { kind }] as [number, object]))).toEqual([
      ['holding', 0, 1],
      ['input', 0, 1],
      ['coil', 0, 1],
      ['discrete', 0, 1],
    ])
  })

  it('are no longer than the protocol allows', () => {
    const all = (count: number, more = {}) =>
      planned(...Array.from({ length: count }, (_, i) => [i, more] as [number, object]))
    expect(all(126)).toEqual([
      ['holding', 0, 125],
      ['holding', 125, 1],
    ])
    expect(all(2001, { kind: 'coil' })).toEqual([
      ['coil', 0, 2000],
      ['coil', 2000, 1],
    ])
    const doubles = Array.from({ length: 63 }, (_, i) => [i * 2, { type: 'float32' }] as [number, object])
    expect(planned(...doubles)).toEqual([
      ['holding', 0, 124],
      ['holding', 124, 2],
    ])
  })

  it('read one register once that is named twice, also as part of a wider one', () => {
    expect(planned([0], [0, { type: 'uint32' }], [1, { scale: 2 }])).toEqual([['holding', 0, 2]])
    expect(planned([0, { type: 'uint32' }], [0])).toEqual([['holding', 0, 2]])
  })

  it('have every register, with the read in which it is', () => {
    const registers = [register(9), register(0), register(1, { type: 'float32' })]
    for (const { address, count, registers: within } of planReads(registers)) {
      for (const each of within) {
        expect(each.address).toBeGreaterThanOrEqual(address)
        expect(each.address).toBeLessThan(address + count)
      }
    }
    expect(planReads(registers).flatMap((read) => read.registers).length).toBe(3)
  })
})
