import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { deviceNumbers, directoryBytes, SizeWatch } from './disk-use.ts'

test('a device number is taken apart as glibc packs it', () => {
  expect(deviceNumbers(0xfe00)).toBe('254:0')
  expect(deviceNumbers(0x10301)).toBe('259:1')
  expect(deviceNumbers(0x10082c)).toBe('8:300')
  expect(deviceNumbers(0x100000038802)).toBe('5000:2')
})

test('a watch remembers the largest size, files in directories included', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-size-'))
  try {
    await mkdir(join(directory, 'in'))
    writeFileSync(join(directory, 'in', 'a'), Buffer.alloc(70))
    writeFileSync(join(directory, 'b'), Buffer.alloc(30))
    expect(directoryBytes(directory)).toBe(100)
    expect(new SizeWatch(directory).stop()).toBe(100)
    expect(directoryBytes(join(directory, 'nothing'))).toBe(0)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
