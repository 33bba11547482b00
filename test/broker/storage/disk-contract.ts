/** What every `Disk` promises: run on the real one, on the one in memory, and through the faulty one. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DataDirectoryError, DataDirectoryLockedError } from '../../../broker/errors.ts'
import type { Disk, Store } from '../../../broker/storage/store.ts'

const OPTIONS = { writeBufferBytes: 64 * 1024, createIfMissing: true }
const ALL = { from: Buffer.of(), to: Buffer.alloc(16, 0xff), bytesMax: 1e9 }

export function describeDisk(name: string, make: () => Disk): void {
  describe(name, () => {
    let disk: Disk
    let root: string
    let open: Store[]

    beforeEach(async () => {
      disk = make()
      root = await mkdtemp(join(tmpdir(), 'headwater-disk-'))
      await disk.makeDirectory(root)
      open = []
    })
    afterEach(async () => {
      await Promise.all(open.map((store) => store.close()))
      await rm(root, { recursive: true, force: true })
    })

    async function store(directory = 'store', createIfMissing = true): Promise<Store> {
      const opened = await disk.openStore(join(root, directory), { ...OPTIONS, createIfMissing })
      open.push(opened)
      return opened
    }

    async function put(to: Store, keys: string[], sync = true): Promise<void> {
      const batch = to.batch()
      for (const key of keys) batch.put(Buffer.from(key, 'latin1'), Buffer.from(`value of ${key}`))
      await batch.write({ sync })
    }

    const keysOf = async (from: Store, options: Partial<typeof ALL> = {}) =>
      (await from.range({ ...ALL, ...options })).map(({ key }) => key.toString('latin1'))

    it('brings entries in the order of their bytes, from inclusive, to exclusive', async () => {
      const opened = await store()
      await put(opened, ['b', '\xff\x00', 'a', '\x7f', '\x80', 'aa'])
      expect(await keysOf(opened)).toEqual(['a', 'aa', 'b', '\x7f', '\x80', '\xff\x00'])
      expect(await keysOf(opened, { from: Buffer.from('aa'), to: Buffer.from('\x80', 'latin1') })).toEqual([
        'aa',
        'b',
        '\x7f',
      ])
    })

    it('stops a range after the entry with which its bytes are reached', async () => {
      const opened = await store()
      await put(opened, ['a', 'b', 'c'])
      const entryBytes = 1 + 'value of a'.length
      expect(await keysOf(opened, { bytesMax: 1 })).toEqual(['a'])
      expect(await keysOf(opened, { bytesMax: entryBytes })).toEqual(['a'])
      expect(await keysOf(opened, { bytesMax: entryBytes + 1 })).toEqual(['a', 'b'])
    })

    it('scans in steps what was there when the scan began, whatever changes meanwhile', async () => {
      const opened = await store()
      await put(opened, ['a', 'b', 'c', 'd'])
      const scan = opened.scan(Buffer.from('b'), Buffer.from('z'))
      const batch = opened.batch()
      batch.put(Buffer.from('bb'), Buffer.from('new'))
      batch.put(Buffer.from('c'), Buffer.from('new'))
      batch.delete(Buffer.from('d'))
      await batch.write({ sync: false })
      const steps: string[][] = []
      for (let step = await scan.next(1); step.length > 0; step = await scan.next(1)) {
        steps.push(step.map(({ key, value }) => `${key}: ${value}`))
      }
      await scan.close()
      expect(steps).toEqual([['b: value of b'], ['c: value of c'], ['d: value of d']])
      expect(await keysOf(opened)).toEqual(['a', 'b', 'bb', 'c'])
    })

    it('scans many entries in steps of the bytes asked for', async () => {
      const opened = await store()
      const keys = Array.from({ length: 2500 }, (_, i) => String(i).padStart(4, '0'))
      await put(opened, keys)
      const scan = opened.scan(Buffer.of(), Buffer.of(0xff))
      const found: string[] = []
      for (let step = await scan.next(1000); step.length > 0; step = await scan.next(1000)) {
        expect(step.length).toBeLessThan(100)
        found.push(...step.map(({ key }) => key.toString()))
      }
      await scan.close()
      expect(found).toEqual(keys)
    })

    it('brings an empty range as no entries, and a key that is not there as undefined', async () => {
      const opened = await store()
      await put(opened, ['a'])
      expect(await keysOf(opened, { from: Buffer.from('b') })).toEqual([])
      expect(await opened.get(Buffer.from('b'))).toBeUndefined()
      expect(await opened.getMany([Buffer.from('b'), Buffer.from('a')])).toEqual([
        undefined,
        Buffer.from('value of a'),
      ])
    })

    it('copies keys and values, so that their buffers can be used again before the write', async () => {
      const opened = await store()
      const [key, value] = [Buffer.from('key'), Buffer.from('value')]
      const batch = opened.batch()
      batch.put(key, value)
      key.fill(0)
      value.fill(0)
      await batch.write({ sync: true })
      expect(await opened.get(Buffer.from('key'))).toEqual(Buffer.from('value'))
    })

    it('deletes, and keeps the last of several changes to a key in one batch', async () => {
      const opened = await store()
      await put(opened, ['a', 'b'])
      const batch = opened.batch()
      batch.delete(Buffer.from('a'))
      batch.put(Buffer.from('b'), Buffer.from('1'))
      batch.put(Buffer.from('b'), Buffer.from('2'))
      await batch.write({ sync: true })
      expect(await keysOf(opened)).toEqual(['b'])
      expect(await opened.get(Buffer.from('b'))).toEqual(Buffer.from('2'))
    })

    it('keeps what was written when the store is closed and opened again', async () => {
      const opened = await store()
      await put(opened, ['a'])
      await put(opened, ['b'], false)
      await opened.close()
      expect(await keysOf(await store('store', false))).toEqual(['a', 'b'])
    })

    it('refuses a store that is open already with DataDirectoryLockedError', async () => {
      const opened = await store()
      await expect(store()).rejects.toThrow(DataDirectoryLockedError)
      await opened.close()
      await store()
    })

    it('knows whether a store is open, and neither opens nor makes one for it', async () => {
      const path = join(root, 'store')
      expect(await disk.isStoreLocked(path)).toBe(false)
      expect(await disk.list(root)).toEqual([])
      const opened = await store()
      await put(opened, ['a'])
      expect(await disk.isStoreLocked(path)).toBe(true)
      await expect(store()).rejects.toThrow(DataDirectoryLockedError)
      await opened.close()
      expect(await disk.isStoreLocked(path)).toBe(false)
      expect(await keysOf(await store())).toEqual(['a'])
    })

    it('finds nothing against the use of what this user may read and write', async () => {
      await disk.checkAccess(root)
    })

    it('refuses a store that is not there when it may not make one', async () => {
      await expect(store('none', false)).rejects.toThrow(DataDirectoryError)
    })

    it('reads a file that is not there as undefined, and a directory that is not there as empty', async () => {
      expect(await disk.readFile(join(root, 'none'))).toBeUndefined()
      expect(await disk.list(join(root, 'none'))).toEqual([])
    })

    it('replaces a file whole, the shorter after the longer', async () => {
      const path = join(root, 'file')
      await disk.replaceFile(path, Buffer.from('a long text'))
      await disk.replaceFile(path, Buffer.from('short'))
      expect((await disk.readFile(path))?.toString()).toBe('short')
      expect((await disk.list(root)).filter((found) => !found.startsWith('.'))).toEqual(['file'])
    })

    it('reads parts of a file: a copy, fewer bytes where it ends, none behind', async () => {
      const path = join(root, 'file')
      await disk.replaceFile(path, Buffer.from('0123456789'))
      const file = (await disk.openFile(path))!
      expect(file.size).toBe(10)
      const part = await file.read(2, 3)
      expect(part.toString()).toBe('234')
      part.fill(0)
      expect((await file.read(0, 1e6)).toString()).toBe('0123456789')
      expect((await file.read(8, 5)).toString()).toBe('89')
      expect(await file.read(10, 5)).toHaveLength(0)
      expect(await file.read(99, 5)).toHaveLength(0)
      expect(await file.read(3, 0)).toHaveLength(0)
      const into = Buffer.alloc(6, 'x')
      expect((await file.read(7, 6, into)).toString()).toBe('789')
      expect(into.toString()).toBe('789xxx')
      await file.close()
    })

    it('opens no file where there is none, or a directory', async () => {
      expect(await disk.openFile(join(root, 'none'))).toBeUndefined()
      expect(await disk.openFile(root)).toBeUndefined()
    })

    it('moves a file, and a directory with all that is in it', async () => {
      await disk.makeDirectory(join(root, 'a', 'b'))
      await disk.makeDirectory(join(root, 'z'))
      await disk.replaceFile(join(root, 'a', 'b', 'file'), Buffer.from('x'))
      await put(await store('a/store'), ['k'])
      await open[0]!.close()
      await disk.move(join(root, 'a'), join(root, 'z', 'moved'))
      expect(await disk.list(root)).toEqual(['z'])
      expect((await disk.readFile(join(root, 'z', 'moved', 'b', 'file')))?.toString()).toBe('x')
      expect(await keysOf(await store('z/moved/store', false))).toEqual(['k'])
      await disk.move(join(root, 'z', 'moved', 'b', 'file'), join(root, 'file'))
      expect((await disk.readFile(join(root, 'file')))?.toString()).toBe('x')
    })

    it('moves nothing over what is there, and nothing from where nothing is', async () => {
      await disk.replaceFile(join(root, 'a'), Buffer.from('a'))
      await disk.replaceFile(join(root, 'b'), Buffer.from('b'))
      await disk.makeDirectory(join(root, 'empty'))
      await expect(disk.move(join(root, 'a'), join(root, 'b'))).rejects.toMatchObject({ code: 'EEXIST' })
      await expect(disk.move(join(root, 'a'), join(root, 'empty'))).rejects.toMatchObject({ code: 'EEXIST' })
      await expect(disk.move(join(root, 'none'), join(root, 'c'))).rejects.toMatchObject({ code: 'ENOENT' })
      expect((await disk.readFile(join(root, 'b')))?.toString()).toBe('b')
    })

    it('writes a new file piece by piece, which stands nowhere before it is whole', async () => {
      const path = join(root, 'file')
      await disk.replaceFile(path, Buffer.from('old'))
      const file = await disk.newFile(path)
      for (const piece of ['a long', ' text', '']) await file.write(Buffer.from(piece))
      expect((await disk.readFile(path))?.toString()).toBe('old')
      expect((await disk.list(root)).toSorted()).toEqual(['file', 'file.partial'])
      await file.commit()
      expect((await disk.readFile(path))?.toString()).toBe('a long text')
      expect(await disk.list(root)).toEqual(['file'])
    })

    it('leaves nothing of a new file that is discarded', async () => {
      const file = await disk.newFile(join(root, 'file'))
      await file.write(Buffer.from('x'))
      await file.discard()
      expect(await disk.list(root)).toEqual([])
    })

    it('makes directories with their parents, and again without harm', async () => {
      await disk.makeDirectory(join(root, 'a', 'b'))
      await disk.makeDirectory(join(root, 'a', 'b'))
      expect(await disk.list(join(root, 'a'))).toEqual(['b'])
    })

    it('removes a directory with all that is in it, and nothing where there is nothing', async () => {
      await disk.makeDirectory(join(root, 'a', 'b'))
      await disk.replaceFile(join(root, 'a', 'b', 'file'), Buffer.from('x'))
      await (await store('a/store')).close()
      await disk.remove(join(root, 'a'))
      await disk.remove(join(root, 'a'))
      expect(await disk.list(root)).toEqual([])
      expect(await disk.readFile(join(root, 'a', 'b', 'file'))).toBeUndefined()
    })
  })
}
