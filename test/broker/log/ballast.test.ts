import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BALLAST_BYTES, BALLAST_FILE, dropBallast, keepBallast } from '../../../broker/log/ballast.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, MEMORY_PATH, openLog, readAll } from './support.ts'

const FILE = join(MEMORY_PATH, BALLAST_FILE)
const OPTIONS = { hasBallast: true, budget: { bytesMax: null, reserveBytes: 1000 } }

describe('ballast', () => {
  it('is kept while the disk has room for it beside the reserve, once', async () => {
    const disk = new MemoryDisk()
    disk.freeBytes = BALLAST_BYTES
    const log = await openLog(disk, { ...OPTIONS, segmentBytes: 3000 })
    await log.janitor.run()
    expect(await disk.readFile(FILE)).toBeUndefined()
    disk.freeBytes = 1e9
    await log.janitor.run()
    const kept = await disk.readFile(FILE)
    expect(kept?.length).toBe(BALLAST_BYTES)
    await log.janitor.run()
    expect((await disk.readFile(FILE))?.equals(kept!)).toBe(true)
  })

  it('is let go where the disk is full, and only there', async () => {
    const disk = new MemoryDisk()
    disk.freeBytes = 1e9
    await keepBallast(disk, MEMORY_PATH)
    expect(await dropBallast(disk, MEMORY_PATH)).toBe(false)
    disk.freeBytes = 0
    expect(await dropBallast(disk, MEMORY_PATH), 'of another program').toBe(false)
    await disk.replaceFile(join(MEMORY_PATH, 'headwater.json'), Buffer.from('{}'))
    expect(await dropBallast(disk, MEMORY_PATH)).toBe(true)
    expect(await disk.readFile(FILE)).toBeUndefined()
    expect(await dropBallast(disk, MEMORY_PATH)).toBe(false)
  })

  it('takes along what a power cut left of one that was being written', async () => {
    const disk = new MemoryDisk()
    const half = join(MEMORY_PATH, `.${BALLAST_FILE}.tmp`)
    await disk.replaceFile(half, Buffer.alloc(1000))
    disk.freeBytes = 0
    await dropBallast(disk, MEMORY_PATH)
    expect(await disk.readFile(half), 'of another program').toBeDefined()
    await disk.replaceFile(join(MEMORY_PATH, 'headwater.json'), Buffer.from('{}'))
    expect(await dropBallast(disk, MEMORY_PATH)).toBe(false)
    expect(await disk.readFile(half)).toBeUndefined()
  })

  it('is not missed by a log that has none', async () => {
    const disk = new MemoryDisk()
    disk.freeBytes = 0
    const log = await openLog(disk, OPTIONS)
    await append(log, 0, ['a'])
    expect(await readAll(log, 0)).toEqual(['0:a'])
  })
})
