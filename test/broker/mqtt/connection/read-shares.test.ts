/** A turn of the event loop has a limit; past it those who bring much wait, and those who bring little do not. */
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../../../../broker/mqtt/connection/frame-reader.ts'
import { type Reading, ReadShares, Share } from '../../../../broker/mqtt/connection/read-shares.ts'
import { UnfinishedPackets } from '../../../../broker/mqtt/connection/unfinished-packets.ts'

const MUCH = 60 * 1024
const LITTLE = 100

class Reader implements Reading {
  readonly share = new Share()
  readonly ran: string[] = []
  readonly #name: string
  readonly #run: (name: string, bytes: number) => void
  #bytes = 0

  constructor(name: string, run: (name: string, bytes: number) => void) {
    this.#name = name
    this.#run = run
  }

  brings(bytes: number): this {
    this.#bytes = bytes
    return this
  }
  run(): void {
    this.share.add(this.#bytes, 1)
    this.#run(this.#name, this.#bytes)
  }
  goOn(): void {
    this.run()
  }
}

/** Time goes by as chunks are handled: a millisecond each 30 KiB. */
function start() {
  const done: string[] = []
  const turns: (() => void)[] = []
  let now = 10_000
  const shares = new ReadShares(
    () => now,
    (turn) => turns.push(turn),
  )
  const readers = new Map<string, Reader>()
  return {
    done,
    turns,
    pass(ms: number) {
      now += ms
    },
    brings(name: string, bytes: number): boolean {
      let reader = readers.get(name)
      if (reader === undefined) {
        reader = new Reader(name, (who, count) => {
          done.push(who)
          now += count / 30_720
        })
        readers.set(name, reader)
      }
      return shares.read(reader.brings(bytes), bytes)
    },
    endTurn(): string[] {
      const before = done.length
      turns.shift()!()
      return done.slice(before)
    },
  }
}

/** Everybody has brought enough before to be known. */
function flooded(test: ReturnType<typeof start>) {
  const flooders = ['a', 'b', 'c', 'd', 'e', 'f']
  for (const name of flooders) {
    test.brings(name, MUCH)
    test.pass(10)
    while (test.turns.length > 0) test.endTurn()
  }
  test.done.length = 0
  return flooders
}

describe('a turn', () => {
  it('handles at once what comes while it has time, whoever brings it', () => {
    const test = start()
    expect(test.brings('a', MUCH)).toBe(true)
    expect(test.brings('b', MUCH)).toBe(true)
    expect(test.done).toEqual(['a', 'b'])
    test.endTurn()
    expect(test.turns).toHaveLength(0)
  })

  it('that is full lets floods wait in their order, and goes on with who brings little', () => {
    const test = start()
    const flooders = flooded(test)
    const at = flooders.map((name) => test.brings(name, MUCH))
    expect(at).toEqual([true, true, false, false, false, false])
    expect(test.brings('sensor', LITTLE)).toBe(true)
    expect(test.done).toEqual(['a', 'b', 'sensor'])
    expect(test.endTurn()).toEqual(['c', 'd'])
    // while some wait, those that bring much queue up behind them
    expect(test.brings('a', MUCH)).toBe(false)
    expect(test.brings('sensor', LITTLE)).toBe(true)
    expect(test.endTurn()).toEqual(['e', 'f'])
    expect(test.endTurn()).toEqual(['a'])
    expect(test.turns).toHaveLength(0)
  })

  it('counts packets, too: who sends many small ones brings much', () => {
    const test = start()
    flooded(test)
    for (let n = 0; n < 300; n++) test.brings('small', LITTLE)
    for (const name of ['a', 'b', 'c']) test.brings(name, MUCH)
    expect(test.brings('small', LITTLE)).toBe(false)
  })

  it('forgets what a connection brought a while ago', () => {
    const share = new Share()
    share.add(MUCH, 100)
    expect(share.isLight(LITTLE, 1_000)).toBe(true)
    share.add(MUCH, 0)
    expect(share.isLight(LITTLE, 1_500)).toBe(false)
    expect(share.isLight(LITTLE, 2_000)).toBe(true)
    share.add(10 * MUCH, 0)
    expect(share.isLight(LITTLE, 3_000)).toBe(false)
    expect(share.isLight(LITTLE, 5_000)).toBe(true)
  })
})

it('a connection that has to wait is not read meanwhile, and loses nothing', async () => {
  const turns: (() => void)[] = []
  let now = 0
  const shares = new ReadShares(
    () => now++,
    (turn) => turns.push(turn),
  )
  const lengths: number[] = []
  const handler = {
    handle: ({ from, to }: { from: number; to: number }) => void lengths.push(to - from),
    failed: (error: Error) => {
      throw error
    },
    handled: () => {},
    progressed: () => {},
    holder: { user: null, address: '192.0.2.1' },
  }
  const stream = new PassThrough({ highWaterMark: 1 << 20 })
  new FrameReader(stream, 1 << 20, { unfinished: new UnfinishedPackets(1 << 20), shares }, handler)
  const hello = Buffer.from([0x10, 0])
  const large = Buffer.concat([Buffer.from([0x30, 0xf0, 0xff, 0x04]), Buffer.alloc(0x13ff0)])
  stream.write(hello)
  stream.write(large)
  // a millisecond goes by each time somebody looks: the turn is full after a few
  for (let n = 0; n < 8; n++) stream.write(large)
  await new Promise((resolve) => setImmediate(resolve))
  const first = lengths.length
  expect(first).toBeLessThan(10)
  expect(stream.isPaused()).toBe(true)
  while (lengths.length < 10) {
    turns.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(lengths).toEqual([0, ...Array.from({ length: 9 }, () => 0x13ff0)])
  stream.destroy()
})
