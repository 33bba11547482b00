import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { silentSink } from '../../../broker/log-sink.ts'
import { quarantine, trimQuarantine, WHY_FILE } from '../../../broker/storage/quarantine.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { RecordingSink } from '../log/support.ts'

const ROOT = '/data/quarantine'
const WHY = { what: 'its table is cut short' }

async function segment(disk: Disk, name: string, bytes = 100): Promise<string> {
  const path = join('/data/log', name)
  await disk.makeDirectory(path)
  await disk.replaceFile(join(path, 'file'), Buffer.alloc(bytes, 1))
  return path
}

async function why(disk: Disk, name: string): Promise<Record<string, unknown>> {
  return JSON.parse((await disk.readFile(join(ROOT, name, WHY_FILE)))!.toString())
}

describe('a quarantine', () => {
  it('takes a directory with all that is in it, and says why, when and from where, keys in hex', async () => {
    const disk = new MemoryDisk()
    const sink = new RecordingSink()
    const path = await segment(disk, '00000007')
    const keys = { from: Buffer.from('0a', 'hex'), to: null }
    const place = { file: '000005.ldb', at: 12, bytes: 40 }
    const findings = [{ kind: 'block-damaged', ...place, reason: 'its keys are out of order', keys } as const]
    const lost = [{ cause: 'block-damaged', ...place, ...keys, isByWriting: false } as const]
    const now = () => new Date('2026-07-01T10:00:00Z')
    const { directory } = await quarantine(disk, path, ROOT, { ...WHY, findings, lost }, sink, undefined, now)
    expect(directory).toBe(join(ROOT, '00000007-1'))
    expect(await disk.list('/data/log')).toEqual([])
    expect(await disk.readFile(join(directory, '00000007', 'file'))).toHaveLength(100)
    expect(await why(disk, '00000007-1')).toEqual({
      what: 'its table is cut short',
      when: '2026-07-01T10:00:00.000Z',
      from: path,
      findings: [
        {
          kind: 'block-damaged',
          ...place,
          reason: 'its keys are out of order',
          keys: { from: '0a', to: null },
        },
      ],
      lost: [{ cause: 'block-damaged', ...place, from: '0a', to: null, isByWriting: false }],
    })
    expect(sink.matching('moved to quarantine')).toHaveLength(1)
  })

  it('takes a file, and a second thing of the same name beside the first', async () => {
    const disk = new MemoryDisk()
    for (const text of ['one', 'two']) {
      await disk.makeDirectory('/data/log')
      await disk.replaceFile('/data/log/catalog.json', Buffer.from(text))
      await quarantine(disk, '/data/log/catalog.json', ROOT, WHY, silentSink)
    }
    const read = async (n: number) =>
      (await disk.readFile(join(ROOT, `catalog.json-${n}`, 'catalog.json')))?.toString()
    expect([await read(1), await read(2)]).toEqual(['one', 'two'])
  })

  it('is bounded in bytes and in number: the oldest goes first, and is told', async () => {
    const disk = new MemoryDisk()
    const sink = new RecordingSink()
    const add = async (name: string, limits: { bytesMax: number; countMax: number }, bytes = 1000) =>
      quarantine(disk, await segment(disk, name, bytes), ROOT, WHY, sink, limits)
    const inBytes = { bytesMax: 3000, countMax: 9 }
    for (const name of ['b', 'a', 'c']) await add(name, inBytes)
    expect((await disk.list(ROOT)).toSorted()).toEqual(['a-2', 'c-3'])
    expect(sink.matching('removed from quarantine').map(({ fields }) => fields.name)).toEqual(['b-1'])
    const { removed } = await add('d', { bytesMax: 1e9, countMax: 2 })
    expect(removed.map(({ name }) => name)).toEqual(['a-2'])
    expect((await disk.list(ROOT)).toSorted()).toEqual(['c-3', 'd-4'])
  })

  it('does not keep what is over the limit by itself, and nothing else goes for it', async () => {
    const disk = new MemoryDisk()
    const limits = { bytesMax: 3000, countMax: 9 }
    await quarantine(disk, await segment(disk, 'small', 10), ROOT, WHY, silentSink, limits)
    const large = await quarantine(disk, await segment(disk, 'large', 5000), ROOT, WHY, silentSink, limits)
    expect(large.removed.map(({ name }) => name)).toEqual(['large-2'])
    expect(await disk.list(ROOT)).toEqual(['small-1'])
    expect(await disk.list('/data/log')).toEqual([])
  })

  it('leaves alone what is not its own', async () => {
    const disk = new MemoryDisk()
    await disk.makeDirectory(join(ROOT, 'a person’s notes'))
    await disk.replaceFile(join(ROOT, 'a person’s notes', 'file'), Buffer.alloc(5000))
    await quarantine(disk, await segment(disk, 'a'), ROOT, WHY, silentSink, { bytesMax: 1000, countMax: 1 })
    expect(await disk.list(ROOT)).toContain('a person’s notes')
  })

  it('cut short at any step, leaves what it moves in one place, whole, and the next trim tidies up', async () => {
    for (let cut = 1; ; cut++) {
      const memory = new MemoryDisk()
      const path = await segment(memory, 'a')
      const disk = new FaultyDisk(memory)
      disk.cutPowerAt(cut)
      const done = await quarantine(disk, path, ROOT, WHY, silentSink).then(
        () => true,
        () => false,
      )
      if (done) {
        expect(cut).toBeGreaterThan(5)
        break
      }
      memory.crash()
      expect(await trimQuarantine(memory, ROOT, silentSink)).toEqual([])
      const places = [join(path, 'file'), join(ROOT, 'a-1', 'a', 'file')]
      const found = await Promise.all(places.map((place) => memory.readFile(place)))
      expect(
        found.filter((file) => file?.length === 100),
        `cut ${cut}`,
      ).toHaveLength(1)
      expect(await memory.list(ROOT), `cut ${cut}`).toEqual(found[1] === undefined ? [] : ['a-1'])
      if (found[1] !== undefined) expect(await why(memory, 'a-1')).toMatchObject(WHY)
    }
  })
})
