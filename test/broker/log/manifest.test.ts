import { describe, expect, it } from 'vitest'
import { CorruptLogError, StreamDefinitionError } from '../../../broker/errors.ts'
import { mergeCatalog, readCatalog, writeCatalog } from '../../../broker/log/catalog.ts'
import {
  type Manifest,
  manifestFault,
  nextSegmentId,
  readManifest,
  writeManifest,
} from '../../../broker/log/manifest.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'

const sealed = (id: string, firstCommit: number, lastCommit: number) => ({
  id,
  firstCommit,
  lastCommit,
  bytes: 9,
})

describe('a manifest', () => {
  it('is read as it was written', async () => {
    const disk = new MemoryDisk()
    expect(await readManifest(disk, '/c')).toBeUndefined()
    const manifest: Manifest = {
      format: 1,
      segments: [sealed('00000001', 1, 9), { id: '00000002', firstCommit: 10 }],
    }
    await writeManifest(disk, '/c', manifest)
    expect(await readManifest(disk, '/c')).toEqual(manifest)
  })

  it.each<[string, unknown, RegExp]>([
    ['of another format', { format: 2, segments: [{ id: 'a', firstCommit: 1 }] }, /format 2/],
    ['without segments', { format: 1, segments: [] }, /no segment/],
    ['whose segments are no list', { format: 1, segments: 5 }, /no segment/],
    ['without an active segment', { format: 1, segments: [sealed('a', 1, 2)] }, /only the last is active/],
    [
      'with two active segments',
      {
        format: 1,
        segments: [
          { id: 'a', firstCommit: 1 },
          { id: 'b', firstCommit: 2 },
        ],
      },
      /only the last is active/,
    ],
    [
      'whose segments overlap',
      { format: 1, segments: [sealed('a', 1, 5), { id: 'b', firstCommit: 5 }] },
      /overlap/,
    ],
  ])('%s is neither written nor read', async (_, manifest, reason) => {
    const disk = new MemoryDisk()
    expect(manifestFault(manifest as Manifest)).toMatch(reason)
    await expect(writeManifest(disk, '/c', manifest as Manifest)).rejects.toThrow(CorruptLogError)
    expect(await disk.list('/c')).toEqual([])
    await disk.replaceFile('/c/manifest.json', Buffer.from(JSON.stringify(manifest)))
    await expect(readManifest(disk, '/c')).rejects.toThrow(reason)
  })

  it('that is not JSON is refused with its place', async () => {
    const disk = new MemoryDisk()
    for (const text of ['', 'null', '{"format":1,', '\0'.repeat(100)]) {
      await disk.replaceFile('/c/manifest.json', Buffer.from(text))
      await expect(readManifest(disk, '/c')).rejects.toThrow('/c/manifest.json')
    }
  })

  it('gives a new segment the id after the highest, whatever the order', () => {
    expect(nextSegmentId([])).toBe('00000001')
    expect(nextSegmentId(['00000009', '00000002'])).toBe('0000000a')
    expect(nextSegmentId(['000000ff'])).toBe('00000100')
  })
})

describe('the catalog', () => {
  const events = { name: 'events', chain: 'main', firstId: 0, partitions: 4 }

  it('is read as it was written, and empty where there is none', async () => {
    const disk = new MemoryDisk()
    expect(await readCatalog(disk, '/d')).toEqual([])
    await writeCatalog(disk, '/d', [events])
    expect(await readCatalog(disk, '/d')).toEqual([events])
  })

  it('adds new streams after the ids that are used', () => {
    const { streams, isChanged } = mergeCatalog([events], [{ name: 'alarms', partitions: 2 }])
    expect(isChanged).toBe(true)
    expect(streams).toEqual([events, { name: 'alarms', chain: 'main', firstId: 4, partitions: 2 }])
  })

  it('keeps streams that are no longer configured, and does not give their ids to others', () => {
    const { streams } = mergeCatalog([events], [{ name: 'other', partitions: 1 }])
    const again = mergeCatalog(streams, [{ name: 'third', partitions: 1 }])
    expect(again.streams.map(({ name, firstId }) => [name, firstId])).toEqual([
      ['events', 0],
      ['other', 4],
      ['third', 5],
    ])
    expect(mergeCatalog(again.streams, [{ name: 'events', partitions: 4 }]).isChanged).toBe(false)
  })

  it('refuses another number of partitions, and says the number it has', () => {
    expect(() => mergeCatalog([events], [{ name: 'events', partitions: 8 }])).toThrow(StreamDefinitionError)
    expect(() => mergeCatalog([events], [{ name: 'events', partitions: 8 }])).toThrow(/4 partitions/)
  })

  it('of another format, or that is not JSON, is refused with its place', async () => {
    const disk = new MemoryDisk()
    for (const text of ['{"format":2,"streams":[]}', '{"format":1,"streams":{}}', 'x', '']) {
      await disk.replaceFile('/d/catalog.json', Buffer.from(text))
      await expect(readCatalog(disk, '/d'), text).rejects.toThrow(CorruptLogError)
    }
  })
})
