import { describe, expect, it } from 'vitest'
import { seededRandom, testSeed } from '../support/random.ts'
import { type Image, type Loss, SECTOR_BYTES, SUPERBLOCK, VolatileDisk } from './volatile-disk.ts'

const DISK_BYTES = 64 * 1024
const seed = testSeed()

function newDisk(options: { ignoresFlushes?: boolean; seed?: number } = {}) {
  const medium = Buffer.alloc(DISK_BYTES)
  const image: Image = {
    read: (at, bytes) => Buffer.from(medium.subarray(at, at + bytes)),
    write: (at, bytes) => void medium.set(bytes, at),
  }
  return {
    medium,
    disk: new VolatileDisk(image, seededRandom(options.seed ?? seed), options.ignoresFlushes),
  }
}

const filled = (bytes: number, value: number) => Buffer.alloc(bytes, value)

/** Writes 1 and flushes it, writes 2 over a part of it and beyond, and cuts. @returns what is on the medium */
function cutAfterSecondWrite(loss: Loss, withSeed = seed): Buffer {
  const { disk, medium } = newDisk({ seed: withSeed })
  disk.write(0, filled(8192, 1))
  disk.flush()
  disk.write(4096, filled(8192, 2))
  disk.cut(loss)
  disk.revive()
  return medium
}

describe('a disk with a volatile cache', () => {
  it('reads what was written, flushed or not, over any boundary', () => {
    const { disk } = newDisk()
    disk.write(1000, filled(9000, 7))
    expect(
      disk.read(0, 12_288).equals(Buffer.concat([filled(1000, 0), filled(9000, 7), filled(2288, 0)])),
    ).toBe(true)
    disk.flush()
    disk.write(2048, filled(512, 8))
    expect(disk.read(2047, 514)).toEqual(Buffer.concat([filled(1, 7), filled(512, 8), filled(1, 7)]))
  })

  it('keeps the medium as the last cut left it until the power is on again', () => {
    const { disk, medium } = newDisk()
    disk.write(0, filled(4096, 1))
    disk.flush()
    expect(medium.every((byte) => byte === 0)).toBe(true)
    disk.cut('all')
    expect(medium.every((byte) => byte === 0)).toBe(true)
    disk.revive()
    expect(medium.subarray(0, 4096).equals(filled(4096, 1))).toBe(true)
  })

  it('loses all that was not flushed, and nothing that was', () => {
    const medium = cutAfterSecondWrite('all')
    expect(medium.subarray(0, 8192).equals(filled(8192, 1))).toBe(true)
    expect(medium.subarray(8192).every((byte) => byte === 0)).toBe(true)
  })

  it('loses nothing where the device was done with all', () => {
    const medium = cutAfterSecondWrite('none')
    expect(medium.subarray(0, 4096).equals(filled(4096, 1))).toBe(true)
    expect(medium.subarray(4096, 12_288).equals(filled(8192, 2))).toBe(true)
  })

  it.each(['latest', 'scattered'] as const)('that loses the %s tears writes between sectors only', (loss) => {
    const kinds = new Set<string>()
    for (let i = 0; i < 200; i++) {
      const medium = cutAfterSecondWrite(loss, seed + i)
      let isBroken = false
      let kept = 0
      for (let at = 4096; at < 12_288; at += SECTOR_BYTES) {
        const sector = medium.subarray(at, at + SECTOR_BYTES)
        const before = at < 8192 ? 1 : 0
        expect(sector.every((byte) => byte === sector[0])).toBe(true)
        expect([before, 2]).toContain(sector[0])
        if (sector[0] === 2) {
          kept++
          if (loss === 'latest') expect(isBroken, 'nothing is kept behind the tear').toBe(false)
        } else isBroken = true
      }
      kinds.add(kept === 0 ? 'nothing' : kept === 16 ? 'all' : 'a part')
    }
    expect(kinds).toEqual(new Set(['nothing', 'all', 'a part']))
  })

  it('never tears the superblock', () => {
    for (let i = 0; i < 100; i++) {
      const { disk, medium } = newDisk({ seed: seed + i })
      disk.write(0, filled(4096, 1))
      disk.cut('scattered')
      disk.revive()
      const superblock = medium.subarray(SUPERBLOCK.from, SUPERBLOCK.to)
      expect(superblock.every((byte) => byte === superblock[0])).toBe(true)
    }
  })

  it('loses later writes with the latest, never an earlier one alone', () => {
    for (let i = 0; i < 100; i++) {
      const { disk, medium } = newDisk({ seed: seed + i })
      for (let block = 0; block < 8; block++) disk.write(block * 4096, filled(4096, block + 1))
      disk.cut('latest')
      disk.revive()
      const heads = Array.from({ length: 8 }, (_, block) => medium[block * 4096 + 4095]! > 0)
      expect(heads).toEqual(heads.toSorted((a, b) => Number(b) - Number(a)))
    }
  })

  it('goes on for the dead system without a trace on the medium', () => {
    const { disk, medium } = newDisk()
    disk.write(0, filled(512, 1))
    disk.cut('none')
    disk.write(512, filled(512, 2))
    disk.flush()
    expect(disk.read(0, 1024)).toEqual(Buffer.concat([filled(512, 1), filled(512, 2)]))
    disk.revive()
    expect(medium.subarray(0, 1024)).toEqual(Buffer.concat([filled(512, 1), filled(512, 0)]))
    expect(disk.read(0, 1024)).toEqual(medium.subarray(0, 1024))
  })

  it('that ignores flushes loses what it said was safe', () => {
    const { disk, medium } = newDisk({ ignoresFlushes: true })
    disk.write(0, filled(512, 1))
    disk.flush()
    expect(disk.cut('all')).toEqual({ loss: 'all', cachedBytes: 512, keptBytes: 0 })
    disk.revive()
    expect(medium.every((byte) => byte === 0)).toBe(true)
  })
})
