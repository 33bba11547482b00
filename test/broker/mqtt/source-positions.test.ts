/** Places of sources, committed with records: what a restart and a failed commit leave of them. */
import { describe, expect, it } from 'vitest'
import { SourcePositions } from '../../../broker/mqtt/source-positions.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog } from '../log/support.ts'

const at = (place: number, epoch = 'e', name = 's') => ({ name, epoch, place })

describe('the place of a source', () => {
  it('makes it and all before it repetitions, and none behind it, of another epoch or source', () => {
    const positions = new SourcePositions()
    expect(positions.isRepetition(at(0))).toBe(false)
    positions.add(at(5))
    expect([4, 5, 6].map((place) => positions.isRepetition(at(place)))).toEqual([true, true, false])
    expect(positions.isRepetition(at(5, 'f'))).toBe(false)
    expect(positions.isRepetition(at(5, 'e', 't'))).toBe(false)
  })

  it('goes into a commit once, the newest of each source', () => {
    const positions = new SourcePositions()
    positions.add(at(1))
    positions.add(at(2))
    positions.add(at(7, 'e', 't'))
    expect(positions.snapshot()).toEqual([])
    expect(positions.takePending()).toEqual([
      ['s', 'e', 2],
      ['t', 'e', 7],
    ])
    expect(positions.takePending()).toBeUndefined()
    expect(positions.snapshot()).toHaveLength(2)
  })

  it('is forgotten with the commit that failed', () => {
    const positions = new SourcePositions()
    positions.add(at(1))
    const committed = positions.takePending()
    positions.add(at(2))
    positions.restore(undefined)
    positions.apply(committed)
    expect(positions.isRepetition(at(1))).toBe(true)
    expect(positions.isRepetition(at(2))).toBe(false)
    expect(positions.takePending()).toBeUndefined()
  })

  it('is there after a restart, also from a segment that it was not added in', async () => {
    const disk = new MemoryDisk()
    const open = async () => {
      const positions = new SourcePositions()
      return { positions, log: await openLog(disk, { states: [positions] }) }
    }
    const first = await open()
    first.positions.add(at(3))
    await append(first.log, 0, ['v'])
    expect(await first.log.chains()[0]!.seal()).toBe(true)
    await append(first.log, 0, ['w'])
    await first.log.close()
    const again = await open()
    expect(again.positions.snapshot()).toEqual([['s', 'e', 3]])
    expect(again.positions.isRepetition(at(3))).toBe(true)
    await again.log.close()
  })
})
