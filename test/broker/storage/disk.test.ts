import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Store } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { describeDisk } from './disk-contract.ts'

describeDisk('the real disk', () => nodeDisk)
describeDisk('the disk in memory', () => new MemoryDisk())
describeDisk('a faulty disk without faults over the real one', () => new FaultyDisk(nodeDisk))
describeDisk('a faulty disk without faults over the one in memory', () => new FaultyDisk(new MemoryDisk()))

const OPTIONS = { writeBufferBytes: 64 * 1024, createIfMissing: true }

async function put(store: Store, key: string, sync: boolean): Promise<void> {
  const batch = store.batch()
  batch.put(Buffer.from(key), Buffer.from(key))
  await batch.write({ sync })
}

async function keysOf(store: Store): Promise<string> {
  const entries = await store.range({ from: Buffer.of(), to: Buffer.of(0xff), bytesMax: 1e6 })
  return entries.map(({ key }) => key.toString()).join('')
}

describe('a power cut of the disk in memory', () => {
  it('forgets the unsynced writes of a store, and keeps those that a later sync covers', async () => {
    const disk = new MemoryDisk()
    const store = await disk.openStore('/s', OPTIONS)
    await put(store, 'a', false)
    await put(store, 'b', true)
    await put(store, 'c', false)
    disk.crash()
    await expect(put(store, 'd', true)).rejects.toThrow('the power was cut')
    expect(await keysOf(await disk.openStore('/s', OPTIONS))).toBe('ab')
  })

  it('can keep a prefix of the unsynced writes', async () => {
    const disk = new MemoryDisk()
    const store = await disk.openStore('/s', OPTIONS)
    for (const key of ['a', 'b', 'c']) await put(store, key, false)
    disk.crash((unsynced) => unsynced - 1)
    expect(await keysOf(await disk.openStore('/s', OPTIONS))).toBe('ab')
  })

  it('loses a synced write that was under way', async () => {
    const disk = new MemoryDisk()
    const store = await disk.openStore('/s', OPTIONS)
    const write = put(store, 'a', true)
    disk.crash()
    await expect(write).rejects.toThrow('the power was cut')
    expect(await keysOf(await disk.openStore('/s', OPTIONS))).toBe('')
  })

  it('leaves the old file when the directory was not synced after the rename', async () => {
    for (const [stage, left] of [
      ['replace', 'old'],
      ['rename', 'old'],
      ['sync-directory', 'old'],
      ['', 'new'],
    ]) {
      const disk = new MemoryDisk()
      await disk.replaceFile('/f', Buffer.from('old'))
      const replaced = disk.replaceFileInStages('/f', Buffer.from('new'), async (at) => {
        if (at === stage) throw new Error('stop')
      })
      await replaced.catch(() => {})
      disk.crash()
      expect((await disk.readFile('/f'))?.toString(), stage).toBe(left)
    }
  })

  it('leaves under its old name what was moved until the new name’s directory was synced', async () => {
    for (const [stage, left] of [
      ['move', 'old'],
      ['sync-directory', 'old'],
      ['', 'new'],
    ]) {
      const disk = new MemoryDisk()
      await disk.makeDirectory('/d')
      await disk.makeDirectory('/old')
      await disk.replaceFile('/old/f', Buffer.from('x'))
      const moved = disk.moveInStages('/old', '/d/new', async (at) => {
        if (at === stage) throw new Error('stop')
      })
      await moved.catch(() => {})
      disk.crash()
      expect((await disk.readFile('/old/f'))?.toString(), stage).toBe(left === 'old' ? 'x' : undefined)
      expect((await disk.readFile('/d/new/f'))?.toString(), stage).toBe(left === 'new' ? 'x' : undefined)
    }
  })

  it('brings back what was removed until the directory is synced', async () => {
    const disk = new MemoryDisk()
    await disk.makeDirectory('/d/one')
    await disk.replaceFile('/d/one/f', Buffer.from('x'))
    await disk.remove('/d/one')
    disk.crash()
    expect((await disk.readFile('/d/one/f'))?.toString()).toBe('x')
    await disk.remove('/d/one')
    await disk.replaceFile('/d/other', Buffer.from('y'))
    disk.crash()
    expect(await disk.list('/d')).toEqual(['other'])
  })
})

describe('what a power cut of the disk in memory leaves of names that were not synced', () => {
  it('can be the new file as well as the old one', async () => {
    const disk = new MemoryDisk()
    await disk.replaceFile('/f', Buffer.from('old'))
    const replaced = disk.replaceFileInStages('/f', Buffer.from('new'), async (at) => {
      if (at === 'sync-directory') throw new Error('stop')
    })
    await replaced.catch(() => {})
    disk.namesLeft = () => 'new'
    disk.crash()
    expect((await disk.readFile('/f'))?.toString()).toBe('new')
    disk.namesLeft = () => 'old'
    disk.crash()
    expect((await disk.readFile('/f'))?.toString()).toBe('new')
  })

  it('can be nothing of what was removed, or a store with files missing, which can still be removed', async () => {
    const disk = new MemoryDisk()
    for (const outcome of ['new', 'torn'] as const) {
      await disk.makeDirectory('/d')
      const store = await disk.openStore('/d/s', OPTIONS)
      await put(store, 'a', true)
      await store.close()
      await disk.replaceFile('/d/f', Buffer.from('x'))
      await disk.remove('/d')
      disk.namesLeft = () => outcome
      disk.crash()
      expect(await disk.readFile('/d/f')).toBeUndefined()
      expect(await disk.list('/d')).toEqual(outcome === 'new' ? [] : ['s'])
      if (outcome === 'torn') await expect(disk.openStore('/d/s', OPTIONS)).rejects.toThrow('missing files')
      await disk.remove('/d')
    }
  })
})

describe('a faulty disk', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'headwater-faulty-'))
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  it('fails the nth synced write, with its entries kept or not', async () => {
    for (const isKept of [true, false]) {
      const disk = new FaultyDisk(nodeDisk)
      const directory = join(root, String(isKept))
      const store = await disk.openStore(directory, OPTIONS)
      disk.fail({ on: 'sync', nth: 2, code: 'ENOSPC', isKept })
      await put(store, 'a', true)
      await expect(put(store, 'b', true)).rejects.toMatchObject({ code: 'ENOSPC' })
      await expect(put(store, 'c', true)).rejects.toThrow('before it was opened again')
      expect(disk.violations).toBe(1)
      await store.close()
      const again = await disk.openStore(directory, OPTIONS)
      expect(await keysOf(again)).toBe(isKept ? 'ab' : 'a')
      await put(again, 'd', true)
      await again.close()
    }
  })

  it('holds a sync until it is released', async () => {
    const disk = new FaultyDisk(nodeDisk)
    const store = await disk.openStore(join(root, 's'), OPTIONS)
    const gate = disk.hold('sync')
    let isDone = false
    const write = put(store, 'a', true).then(() => {
      isDone = true
    })
    await gate.reached
    expect(await keysOf(store)).toBe('')
    expect(isDone).toBe(false)
    gate.release()
    await write
    await store.close()
  })

  it('fails the replacement of a file before the rename with the old one there, after it with the new one', async () => {
    const path = join(root, 'f')
    for (const below of [nodeDisk, new MemoryDisk()]) {
      const disk = new FaultyDisk(below)
      await disk.replaceFile(path, Buffer.from('old'))
      disk.fail({ on: 'rename' })
      await expect(disk.replaceFile(path, Buffer.from('new'))).rejects.toMatchObject({ code: 'EIO' })
      expect((await disk.readFile(path))?.toString()).toBe('old')
      if (below === nodeDisk) expect(await readFile(join(root, '.f.tmp'), 'utf8')).toBe('new')
      disk.fail({ on: 'sync-directory' })
      await expect(disk.replaceFile(path, Buffer.from('new'))).rejects.toMatchObject({ code: 'EIO' })
      expect((await disk.readFile(path))?.toString()).toBe('new')
    }
  })

  it('cuts the power at the nth change: neither that one nor any later one happens', async () => {
    const memory = new MemoryDisk()
    const disk = new FaultyDisk(memory)
    const store = await disk.openStore('/s', OPTIONS)
    disk.cutPowerAt(2)
    await put(store, 'a', true)
    await expect(put(store, 'b', true)).rejects.toThrow('the power was cut')
    await disk.whenCut
    await expect(disk.makeDirectory('/d')).rejects.toThrow('the power was cut')
    expect(disk.trace.map(({ kind }) => kind)).toEqual(['create-store', 'sync', 'sync'])
    expect(await keysOf(await memory.openStore('/s', OPTIONS))).toBe('a')
  })
})

describe('the real disk', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'headwater-real-'))
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  it('overwrites the temporary file that an earlier cut left', async () => {
    await writeFile(join(root, '.f.tmp'), 'left by a cut, longer than the new text')
    await nodeDisk.replaceFile(join(root, 'f'), Buffer.from('new'))
    expect(await readFile(join(root, 'f'), 'utf8')).toBe('new')
    expect(await nodeDisk.list(root)).toEqual(['f'])
  })

  it('sums up the files that are there when others vanish meanwhile', async () => {
    // a name without a file behind it is what a file is that goes between the list and the look
    for (const name of ['a', 'c', 'e']) await symlink(join(root, 'nowhere'), join(root, name))
    for (const name of ['b', 'd', 'f']) await writeFile(join(root, name), '12345')
    expect(await nodeDisk.usage(root)).toBe(15)
    expect(await nodeDisk.usage(join(root, 'nowhere'))).toBe(0)
  })
})
