/** What waits for a client's socket: in order, and in no more memory than is counted. */
import { Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Outbox, OutboxPool } from '../../../../broker/mqtt/connection/outbox.ts'
import { playLives } from '../../../support/random.ts'

const CHUNK_BYTES = 16 * 1024

class CountingPool extends OutboxPool {
  taken = 0
  given = 0
  override take(): Buffer {
    this.taken++
    return super.take()
  }
  override give(chunk: Buffer): void {
    this.given++
    super.give(chunk)
  }
}

/** A socket whose other end reads when the test says so. */
class SlowSocket extends Writable {
  readonly got: Buffer[] = []
  #done: (() => void) | null = null
  isReading = false

  constructor() {
    super({ highWaterMark: CHUNK_BYTES, decodeStrings: false })
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    // as a kernel: what it has not taken may still change if it is used again
    const take = () => {
      for (const { chunk } of chunks) this.got.push(Buffer.from(chunk))
      done()
    }
    if (this.isReading) setImmediate(take)
    else this.#done = take
  }

  read(): void {
    this.isReading = true
    this.#done?.()
    this.#done = null
  }

  async drained(): Promise<Buffer> {
    this.read()
    for (let idle = 0; idle < 5; idle++) {
      await turn()
      if (this.writableLength > 0) idle = 0
    }
    return Buffer.concat(this.got)
  }
}

function outboxOf(bytesMax: number) {
  const pool = new CountingPool()
  const socket = new SlowSocket()
  return { pool, socket, outbox: new Outbox(socket, pool, bytesMax) }
}

describe('an outbox', () => {
  it('whose socket takes nothing holds chunks for the bytes that it counts, not one for each turn', async () => {
    const { pool, socket, outbox } = outboxOf(1e6)
    for (let i = 0; i < 2_000; i++) {
      outbox.write(Buffer.alloc(50, i))
      await turn()
    }
    expect(outbox.bytes).toBe(100_000)
    expect(pool.taken - pool.given).toBeLessThanOrEqual(100_000 / CHUNK_BYTES + 3)
    const got = await socket.drained()
    expect(got).toEqual(Buffer.concat(Array.from({ length: 2_000 }, (_, i) => Buffer.alloc(50, i))))
    expect(pool.given).toBe(pool.taken)
  })

  it('holds no chunk for each large payload that goes beside it', async () => {
    const { pool, socket, outbox } = outboxOf(1e7)
    for (let i = 0; i < 500; i++) {
      outbox.write(Buffer.alloc(20, i))
      outbox.write(Buffer.alloc(5_000, i))
    }
    await turn()
    expect(pool.taken).toBe(1)
    const got = await socket.drained()
    expect(got.equals(Buffer.concat(Array.from({ length: 500 }, (_, i) => Buffer.alloc(5_020, i))))).toBe(
      true,
    )
    expect(pool.given).toBe(pool.taken)
  })

  it('says that there is room again once it was full and has been read', async () => {
    const { socket, outbox } = outboxOf(1_000)
    let rooms = 0
    outbox.onRoom = () => rooms++
    for (let i = 0; i < 20; i++) {
      outbox.write(Buffer.alloc(100, i))
      await turn()
    }
    expect(outbox.isFull).toBe(true)
    expect(rooms).toBe(0)
    await socket.drained()
    expect(rooms).toBe(1)
    expect(outbox.bytes).toBe(0)
  })

  it('has less room while all together hold their limit, and what a connection held that has ended counts no more', async () => {
    const pool = new OutboxPool(300_000)
    const sockets = [new SlowSocket(), new SlowSocket(), new SlowSocket()] as const
    const outboxes = sockets.map((socket) => new Outbox(socket, pool, 1e6))
    const [one, two, three] = outboxes as [Outbox, Outbox, Outbox]
    let rooms = 0
    one.onRoom = () => rooms++
    one.write(Buffer.alloc(100_000))
    two.write(Buffer.alloc(150_000))
    await turn()
    expect([one.isFull, two.isFull, pool.heldBytes]).toEqual([false, false, 250_000])
    three.write(Buffer.alloc(50_000))
    await turn()
    expect([one.isFull, two.isFull, three.isFull]).toEqual([true, true, false])
    two.release()
    expect(pool.heldBytes).toBe(150_000)
    expect(one.isFull).toBe(false)
    await sockets[0].drained()
    expect([rooms, pool.heldBytes]).toEqual([1, 50_000])
  })

  it('that is ended while a write is under way writes what it has, then ends', async () => {
    const { pool, socket, outbox } = outboxOf(1e6)
    outbox.write(Buffer.from('one'))
    await turn()
    outbox.write(Buffer.from('two'))
    outbox.end()
    expect(String(await socket.drained())).toBe('onetwo')
    expect(socket.writableFinished).toBe(true)
    expect(pool.given).toBe(pool.taken)
  })

  it('keeps bytes in order and gives each chunk back once, whatever sizes come and however they are read', async () => {
    await playLives(30, async (random) => {
      const { pool, socket, outbox } = outboxOf(1e9)
      const sent: Buffer[] = []
      for (let i = 0; i < 200; i++) {
        const size = random.next() < 0.2 ? random.between(4_000, 40_000) : random.between(1, 4_000)
        const bytes = Buffer.alloc(size, random.between(0, 255))
        sent.push(bytes)
        outbox.write(Buffer.from(bytes))
        if (random.next() < 0.3) await turn()
        const chance = random.next()
        if (chance < 0.1) socket.read()
        else if (chance < 0.2) socket.isReading = false
      }
      outbox.flush()
      const got = await socket.drained()
      expect(got.equals(Buffer.concat(sent))).toBe(true)
      expect(pool.given).toBe(pool.taken)
    })
  })
})
