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
  readonly ofOwner: Share
  readonly #name: string
  readonly #run: (reader: Reader, name: string, bytes: number) => void
  #bytes = 0

  constructor(name: string, ofOwner: Share, run: (reader: Reader, name: string, bytes: number) => void) {
    this.#name = name
    this.ofOwner = ofOwner
    this.#run = run
  }

  brings(bytes: number): this {
    this.#bytes = bytes
    return this
  }
  run(): void {
    this.#run(this, this.#name, this.#bytes)
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
    brings(name: string, bytes: number, owner = 'all'): boolean {
      let reader = readers.get(name)
      if (reader === undefined) {
        reader = new Reader(name, shares.ofOwner(owner), (reading, who, count) => {
          shares.charge(reading, count, 1)
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

  it('counts what all connections of a user bring: many with little each, or ever new ones, are a flood', () => {
    const test = start()
    for (let n = 0; n < 200; n++) {
      test.brings(`new-${n}`, 1024, 'stranger')
      while (test.turns.length > 0) test.endTurn()
    }
    test.pass(1000)
    for (let n = 0; n < 5; n++) test.brings(`sensor-${n}`, 1024, 'plant')
    test.pass(100)
    test.endTurn()
    // the turn is full
    for (const name of ['a', 'b']) test.brings(name, MUCH, 'other')
    expect(test.brings('c', MUCH, 'other')).toBe(false)
    expect(test.brings('new-201', LITTLE, 'stranger')).toBe(false)
    expect(test.brings('new-1', LITTLE, 'stranger')).toBe(false)
    expect(test.brings('sensor-5', LITTLE, 'plant')).toBe(true)
    expect(test.brings('sensor-1', LITTLE, 'plant')).toBe(true)
  })

  it('gives each user what falls to each, however much that is', () => {
    const test = start()
    // the first second shows who is there
    for (let n = 0; n < 100; n++) {
      for (const owner of ['one', 'two', 'three']) test.brings(`${owner}-${n}`, 4096, owner)
      test.brings(`little-${n}`, 2048, 'little')
      while (test.turns.length > 0) test.endTurn()
    }
    test.pass(500)
    for (const name of ['a', 'b', 'c']) test.brings(name, MUCH, 'one')
    expect(test.brings('one-x', LITTLE, 'one')).toBe(false)
    expect(test.brings('little-x', LITTLE, 'little')).toBe(true)
  })

  it('where all are one user tells connections apart by themselves', () => {
    const test = start()
    for (let n = 0; n < 200; n++) {
      test.brings(`sensor-${n}`, 1024)
      while (test.turns.length > 0) test.endTurn()
    }
    for (const name of ['a', 'b', 'c']) test.brings(name, MUCH)
    expect(test.brings('sensor-1', LITTLE)).toBe(true)
  })
})

describe('a share', () => {
  it('forgets what was brought a while ago', () => {
    const share = new Share()
    share.add(1000)
    expect(share.cost(10_000)).toBe(0)
    share.add(1000)
    expect(share.cost(10_500)).toBe(1000)
    expect(share.cost(11_000)).toBe(500)
    share.add(10_000)
    expect(share.cost(12_000)).toBe(5250)
    expect(share.cost(14_000)).toBe(0)
  })

  it('is one for all connections of an owner; of many owners those are forgotten that brought nothing for a while', () => {
    let now = 10_000
    const shares = new ReadShares(() => now)
    const first = shares.ofOwner('user 0')
    first.cost(now)
    first.add(1000)
    for (let n = 1; n < 1000; n++) shares.ofOwner(`user ${n}`)
    shares.ofOwner('user 1000')
    expect(shares.ofOwner('user 0')).toBe(first)
    now += 5000
    for (let n = 1001; n < 2001; n++) shares.ofOwner(`user ${n}`)
    expect(shares.ofOwner('user 0')).not.toBe(first)
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
