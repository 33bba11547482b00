/** Records that are lost stay told until somebody says to know of them. */
import { beforeEach, describe, expect, it } from 'vitest'
import { LostRecords } from '../../../broker/operations/lost-records.ts'

interface Hole {
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly reason?: string
}

let holes: Record<string, Hole[]>
let facts: Map<string, Buffer>
let isDiskFull: boolean
beforeEach(() => {
  holes = { events: [], alarms: [] }
  facts = new Map()
  isDiskFull = false
})

/** As at a start of the broker. */
function open(): Promise<LostRecords> {
  const log = {
    streams: () => Object.keys(holes).map((stream) => ({ stream })),
    holes: (stream: string) => holes[stream] ?? [],
  }
  const store = {
    get: async (name: string) => facts.get(name),
    async put(name: string, payload: Uint8Array) {
      if (isDiskFull) throw new Error('ENOSPC')
      facts.set(name, Buffer.from(payload))
    },
  }
  return LostRecords.open(log as never, store)
}

const range = (stream: string, partition: number, from: number, to: number) => ({
  stream,
  partition,
  from,
  to,
})

describe('what is lost', () => {
  it('is told in order, each offset once, at every start', async () => {
    holes.events = [
      { partition: 1, from: 7, to: 9, reason: 'x' },
      { partition: 0, from: 42, to: 50 },
      { partition: 0, from: 40, to: 44 },
      { partition: 0, from: 50, to: 51 },
    ]
    holes.alarms = [{ partition: 0, from: 0, to: 1 }]
    const ranges = [range('alarms', 0, 0, 1), range('events', 0, 40, 51), range('events', 1, 7, 9)]
    expect((await open()).report()).toEqual({ ranges, offsets: 14 })
    expect((await open()).report()).toEqual({ ranges, offsets: 14 })
  })

  it('is told no longer once it is acknowledged, also by later starts; what comes then is told', async () => {
    holes.events = [{ partition: 0, from: 40, to: 44 }]
    const lost = await open()
    await lost.acknowledge(4)
    expect(lost.report()).toEqual({ ranges: [], offsets: 0 })
    expect((await open()).report().offsets).toBe(0)
    holes.events.push({ partition: 0, from: 38, to: 47 }, { partition: 1, from: 40, to: 44 })
    const ranges = [range('events', 0, 38, 40), range('events', 0, 44, 47), range('events', 1, 40, 44)]
    expect(lost.report()).toEqual({ ranges, offsets: 9 })
    const again = await open()
    expect(again.report()).toEqual({ ranges, offsets: 9 })
    await again.acknowledge(9)
    expect((await open()).report().offsets).toBe(0)
  })

  it('is not acknowledged by who has seen less of it', async () => {
    holes.events = [{ partition: 0, from: 40, to: 44 }]
    const lost = await open()
    holes.events.push({ partition: 0, from: 90, to: 91 })
    await expect(lost.acknowledge(4)).rejects.toMatchObject({ code: 'HW_USAGE' })
    expect(lost.report().offsets).toBe(5)
    expect(facts.size).toBe(0)
  })

  it('stays told where the acknowledgement does not reach the disk', async () => {
    holes.events = [{ partition: 0, from: 40, to: 44 }]
    const lost = await open()
    isDiskFull = true
    await expect(lost.acknowledge(4)).rejects.toThrow('ENOSPC')
    expect(lost.report().offsets).toBe(4)
  })

  it.each(['', '{', '{}', 'null', '[null]', '[{"stream":"events"}]', '[{"stream":"events","partition":0}]'])(
    'is told where what was acknowledged cannot be read: %s',
    async (text) => {
      holes.events = [{ partition: 0, from: 40, to: 44 }]
      const lost = await open()
      await lost.acknowledge(4)
      const [name] = facts.keys()
      facts.set(name!, Buffer.from(text))
      expect((await open()).report().offsets).toBe(4)
    },
  )

  it('is kept as its grammar says', async () => {
    holes.events = [{ partition: 0, from: 40, to: 44, reason: 'segment 1 was salvaged' }]
    await (await open()).acknowledge(4)
    expect([...facts].map(([name, payload]) => [name, String(payload)])).toEqual([
      ['log/lost-acknowledged', '[{"stream":"events","partition":0,"from":40,"to":44}]'],
    ])
  })
})
