import { describe, expect, it } from 'vitest'
import { RoundMemory } from '../../sync/round-memory.ts'
import { seededRandom, testSeed } from '../support/random.ts'

const BLOCK_BYTES = 512 * 1024

describe('the memory of rounds', () => {
  it('copies, and uses again what was released', () => {
    const memory = new RoundMemory()
    const source = Buffer.from('a batch')
    const copied = memory.copy(source)
    source.fill(0)
    expect(copied.toString()).toBe('a batch')
    const [first, second] = [1, 2].map((fill) => memory.copy(Buffer.alloc(BLOCK_BYTES, fill)))
    memory.release(first!)
    expect(memory.copy(Buffer.alloc(BLOCK_BYTES, 3)).buffer).toBe(first!.buffer)
    expect(second!.every((byte) => byte === 2)).toBe(true)
  })

  it('passes over what is not its own, and keeps what is too large for a block apart', () => {
    const memory = new RoundMemory()
    const large = memory.copy(Buffer.alloc(BLOCK_BYTES + 1, 7))
    memory.release(large)
    memory.release(Buffer.from('of another'))
    memory.copy(Buffer.alloc(BLOCK_BYTES, 1))
    expect(large.every((byte) => byte === 7)).toBe(true)
  })

  it('never hands out what somebody still reads, in any order of copies and releases', () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const memory = new RoundMemory()
    const live: { bytes: Buffer; fill: number }[] = []
    const buffers = new Set<ArrayBufferLike>()
    for (let step = 0; step < 3000; step++) {
      if (live.length < 60 && random.next() < 0.6) {
        const fill = step & 0xff
        const bytes = memory.copy(Buffer.alloc(random.between(1, 100_000), fill))
        buffers.add(bytes.buffer)
        live.push({ bytes, fill })
      } else if (live.length > 0) {
        const [{ bytes, fill }] = live.splice(random.between(0, live.length - 1), 1) as [(typeof live)[0]]
        expect(bytes.equals(Buffer.alloc(bytes.length, fill)), `seed ${seed}, step ${step}`).toBe(true)
        memory.release(bytes)
      }
    }
    // a block for each would be hundreds
    expect(buffers.size, `seed ${seed}`).toBeLessThan(100)
  })
})
