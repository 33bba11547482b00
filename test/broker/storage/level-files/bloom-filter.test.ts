import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { BlockCursor } from '../../../../broker/storage/level-files/block.ts'
import { BloomFilter } from '../../../../broker/storage/level-files/bloom-filter.ts'
import { readStructure } from '../../../../broker/storage/level-files/table-structure.ts'
import { TolerantFile } from '../../../../broker/storage/level-files/tolerant-file.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { removeTemporaryDirectories, temporaryDirectory, Writer } from './support.ts'

afterAll(removeTemporaryDirectories)

it('LevelDB’s filter holds every key that it was made of, of any length, and few others', async () => {
  const directory = join(temporaryDirectory(), 'store')
  const writer = await new Writer(directory).open()
  for (let i = 0; i < 3000; i++)
    await writer.write([
      [Buffer.from(`${String(i).padStart(5, '0')}${'k'.repeat(i % 9)}`), Buffer.alloc(i % 90)],
    ])
  await writer.close()
  const [table] = (await nodeDisk.list(directory)).filter((name) => name.endsWith('.ldb'))
  const file = (await TolerantFile.open(nodeDisk, join(directory, table!), table!))!
  const { blocks, filter } = await readStructure(file, file.size)
  let written = 0
  let others = 0
  for (const { offset, size } of blocks!) {
    const cursor = new BlockCursor(await file.read(offset, size))
    while (cursor.next()) {
      const userKey = cursor.key.subarray(0, cursor.keyLength - 8)
      expect(filter!.mayHold(offset, cursor.key, userKey.length), userKey.toString()).toBe(true)
      const other = Buffer.from(`no${userKey}`)
      if (filter!.mayHold(offset, other, other.length)) others++
      written++
    }
  }
  await file.close()
  expect(written).toBeGreaterThan(500)
  expect(others).toBeLessThan(written * 0.04)
})

it('a filter of any bytes answers within its bytes', () => {
  const random = seededRandom(testSeed())
  for (let i = 0; i < 2000; i++) {
    const bytes = Buffer.from(Array.from({ length: random.between(0, 40) }, () => random.between(0, 255)))
    if (bytes.length > 5) bytes.writeUInt32LE(random.between(0, bytes.length), bytes.length - 5)
    BloomFilter.read(bytes)?.mayHold(random.between(0, 1e6), bytes, bytes.length)
  }
})
