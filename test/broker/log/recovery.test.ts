/** What a start finds and does: a test for each row of the table in broker/log/chain-recovery.ts. On the real disk. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CorruptLogError, DataDirectoryError } from '../../../broker/errors.ts'
import { commitKey, NOTE_ID } from '../../../broker/log/commit-key.ts'
import { openLevelStore } from '../../../broker/storage/level-store.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { append, openLog, RecordingSink, readAll, temporaryDirectory } from './support.ts'

const LEVEL = { writeBufferBytes: 64 * 1024, createIfMissing: true }
const NOTHING = { tornTails: 0, tornBytes: 0, faults: 0, leftovers: 0, rebuiltIndexes: 0 }

/** A closed log: `commits` commits of one record each, by turns in two partitions. */
async function written(commits: number, segmentBytes: number) {
  const path = temporaryDirectory()
  const log = await openLog(nodeDisk, { path, segmentBytes })
  for (let i = 0; i < commits; i++) await append(log, i % 2, [`v${i}`])
  const records = [await readAll(log, 0), await readAll(log, 1)]
  const segments = log.chains()[0]!.segments.map((segment) => ({ ...segment }))
  await log.close()
  const sink = new RecordingSink()
  const reopen = () => openLog(nodeDisk, { path, segmentBytes, sink })
  return { directory: join(path, 'log', 'main'), path, records, segments, sink, reopen }
}

/** The write-ahead file of a segment, and where its last record begins. */
function writeAheadFile(segment: string): string {
  const names = readdirSync(segment).filter((name) => name.endsWith('.log'))
  expect(names).toHaveLength(1)
  return join(segment, names[0]!)
}

describe('a start', () => {
  it('of a log that was closed finds nothing to do', async () => {
    const { records, reopen, sink } = await written(10, 300)
    const log = await reopen()
    expect(log.status().recovery).toEqual(NOTHING)
    expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(records)
    expect(sink.lines.filter(({ level }) => level !== 'info')).toEqual([])
  })

  it('drops a torn tail, counts it, and goes on, wherever in the last write it was torn', async () => {
    const { directory, path, records } = await written(5, 1e9)
    const wal = writeAheadFile(join(directory, '00000001'))
    const bytes = readFileSync(wal)
    // the last commit: a batch of one record, its key, LevelDB's own header
    for (const torn of [1, 7, 40, 90]) {
      const copy = temporaryDirectory()
      cpSync(path, copy, { recursive: true })
      truncateSync(writeAheadFile(join(copy, 'log', 'main', '00000001')), bytes.length - torn)
      const sink = new RecordingSink()
      const log = await openLog(nodeDisk, { path: copy, sink })
      const { recovery } = log.status()
      expect(recovery, `${torn} bytes`).toMatchObject({
        ...NOTHING,
        tornTails: 1,
        tornBytes: expect.any(Number),
      })
      expect(recovery.tornBytes).toBeGreaterThan(0)
      expect(sink.matching('torn tail')[0]!.fields).toEqual({
        segment: '00000001',
        bytes: recovery.tornBytes,
      })
      // v4 was the last, in partition 0
      expect(await readAll(log, 0)).toEqual(records[0]!.slice(0, -1))
      expect(await readAll(log, 1)).toEqual(records[1])
      await append(log, 0, ['again'])
      expect((await readAll(log, 0)).at(-1)).toBe('2:again')
      expect((await log.verify()).problems).toEqual([])
      await log.close()
    }
  })

  it('counts a write-ahead file that was damaged in the middle as a fault, and logs it as an error', async () => {
    const { directory, reopen, sink } = await written(6, 1e9)
    const wal = writeAheadFile(join(directory, '00000001'))
    const bytes = readFileSync(wal)
    bytes[30]! ^= 1
    writeFileSync(wal, bytes)
    const log = await reopen()
    expect(log.status().recovery.faults).toBeGreaterThan(0)
    expect(sink.matching('damaged bytes')[0]!.level).toBe('error')
    await append(log, 0, ['goes on'])
  })

  it.each<[string, (file: string) => void]>([
    ['is missing', (file) => rmSync(file)],
    ['is empty', (file) => writeFileSync(file, '')],
    ['is cut', (file) => truncateSync(file, readFileSync(file).length - 1)],
    ['has a flipped bit', (file) => flip(file, 30)],
    ['has a flipped bit among its entries', (file) => flip(file, readFileSync(file).length - 2)],
    ['is of another version', (file) => flip(file, 7)],
  ])('builds a sealed segment’s index again that %s', async (_, damage) => {
    const { directory, records, reopen } = await written(16, 300)
    const file = join(directory, '00000001.index')
    const whole = readFileSync(file)
    damage(file)
    const log = await reopen()
    expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(records)
    expect((await log.verify()).problems).toEqual([])
    expect(readFileSync(file).equals(whole)).toBe(true)
    expect(log.status().recovery.faults).toBe(0)
  })

  it('counts the indexes that it built again', async () => {
    const { directory, reopen, sink } = await written(16, 300)
    for (const id of ['00000001', '00000002']) rmSync(join(directory, `${id}.index`))
    const log = await reopen()
    expect(log.status().recovery).toEqual({ ...NOTHING, rebuiltIndexes: 2 })
    expect(sink.matching('built a segment index again')).toHaveLength(2)
  })

  it('removes what an unfinished roll left, counts it, and leaves what is not the log’s', async () => {
    const { directory, segments, records, reopen, sink } = await written(10, 300)
    const active = segments.at(-1)!.id
    mkdirSync(join(directory, '000000ff', 'sub'), { recursive: true })
    writeFileSync(join(directory, `${active}.index`), 'of a segment that is active')
    writeFileSync(join(directory, '000000ff.index'), 'x')
    writeFileSync(join(directory, 'notes.txt'), 'a person’s')
    const log = await reopen()
    expect(log.status().recovery).toEqual({ ...NOTHING, leftovers: 3 })
    expect(sink.matching('unfinished roll')).toHaveLength(3)
    const names = readdirSync(directory)
    expect(names).toContain('notes.txt')
    expect(names.filter((name) => name.startsWith('000000ff') || name === `${active}.index`)).toEqual([])
    expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(records)
  })

  it('after a first one that was cut short before the manifest makes the log', async () => {
    const { directory, reopen } = await written(0, 1e9)
    for (const leaves of ['the head', 'an empty store', 'an empty directory'] as const) {
      rmSync(join(directory, 'manifest.json'))
      if (leaves !== 'the head') {
        rmSync(join(directory, '00000001'), { recursive: true })
        mkdirSync(join(directory, '00000001'))
        if (leaves === 'an empty store')
          await (await openLevelStore(join(directory, '00000001'), LEVEL)).close()
      }
      const log = await reopen()
      expect(log.partitions().map(({ durableOffset }) => durableOffset)).toEqual([0, 0])
      expect((await log.verify()).problems).toEqual([])
      await log.close()
    }
  })

  it('that finds segments with records and no manifest refuses, and removes nothing', async () => {
    for (const [commits, segmentBytes] of [
      [3, 1e9],
      [10, 300],
    ] as const) {
      const { directory, records, reopen } = await written(commits, segmentBytes)
      const manifest = readFileSync(join(directory, 'manifest.json'))
      rmSync(join(directory, 'manifest.json'))
      await expect(reopen()).rejects.toThrow(/manifest\.json: it is missing/)
      await expect(reopen()).rejects.toThrow(CorruptLogError)
      writeFileSync(join(directory, 'manifest.json'), manifest)
      const log = await reopen()
      expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(records)
    }
  })

  it('that finds records and no catalog refuses: their streams are not known', async () => {
    const { path, records, reopen } = await written(3, 1e9)
    const catalog = readFileSync(join(path, 'catalog.json'))
    rmSync(join(path, 'catalog.json'))
    await expect(reopen()).rejects.toThrow(/catalog\.json: it is missing/)
    await expect(reopen()).rejects.toThrow(CorruptLogError)
    writeFileSync(join(path, 'catalog.json'), catalog)
    const log = await reopen()
    expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(records)
  })

  it('of an active segment without its head takes the next offsets from the sealed ones', async () => {
    const { directory, segments, records, reopen } = await written(10, 300)
    const { id, firstCommit, lastCommit } = segments.at(-1)!
    const store = await openLevelStore(join(directory, id), {
      writeBufferBytes: 65536,
      createIfMissing: false,
    })
    const batch = store.batch()
    for (let commit = firstCommit; commit <= lastCommit; commit++) {
      for (const key of [0, 1, NOTE_ID]) batch.delete(commitKey(commit, key))
    }
    await batch.write({ sync: true })
    await store.close()
    const log = await reopen()
    const kept = [await readAll(log, 0), await readAll(log, 1)]
    for (const partition of [0, 1]) {
      expect(records[partition]!.slice(0, kept[partition]!.length)).toEqual(kept[partition])
      expect(log.partitions()[partition]!.durableOffset).toBe(kept[partition]!.length)
    }
    await append(log, 0, ['on'])
    expect((await readAll(log, 0)).at(-1)).toBe(`${kept[0]!.length}:on`)
    expect((await log.verify()).problems).toEqual([])
  })

  it('of the newest segment alone, the older ones removed as retention will, goes on with the offsets', async () => {
    const path = temporaryDirectory()
    const directory = join(path, 'log', 'main')
    const log = await openLog(nodeDisk, { path, segmentBytes: 300 })
    await append(log, 1, ['long ago', 'long ago too'])
    for (let i = 0; i < 10; i++) await append(log, 0, [`v${i}`])
    const [newest] = log.chains()[0]!.segments.slice(-1)
    await log.close()
    const manifest = { format: 1, segments: [{ id: newest!.id, firstCommit: newest!.firstCommit }] }
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest))

    const again = await openLog(nodeDisk, { path, segmentBytes: 300 })
    expect(readdirSync(directory).filter((name) => /^[0-9a-f]{8}/.test(name))).toEqual([newest!.id])
    const [first, second] = again.partitions()
    expect(first).toMatchObject({ durableOffset: 10 })
    expect(first!.logStartOffset).toBeGreaterThan(0)
    expect(second).toMatchObject({ logStartOffset: 2, durableOffset: 2 })
    expect((await readAll(again, 0)).at(0)).toBe(`${first!.logStartOffset}:v${first!.logStartOffset}`)
    for (const [partition, offset] of [10, 2].entries()) {
      await append(again, partition, ['on'])
      expect((await readAll(again, partition)).at(-1)).toBe(`${offset}:on`)
    }
    expect((await again.verify()).problems).toEqual([])
  })

  it('refuses a manifest and a catalog that it cannot read, with their place', async () => {
    const { directory, path, reopen } = await written(3, 1e9)
    const manifest = readFileSync(join(directory, 'manifest.json'))
    writeFileSync(join(directory, 'manifest.json'), '{')
    await expect(reopen()).rejects.toThrow(CorruptLogError)
    await expect(reopen()).rejects.toThrow(/manifest\.json/)
    writeFileSync(join(directory, 'manifest.json'), manifest)
    writeFileSync(join(path, 'catalog.json'), '[]')
    await expect(reopen()).rejects.toThrow(/catalog\.json/)
  })

  it('refuses a log whose segment is gone, and does not make an empty one in its place', async () => {
    const { directory, segments, reopen } = await written(10, 300)
    rmSync(join(directory, segments.at(-1)!.id), { recursive: true })
    await expect(reopen()).rejects.toThrow(DataDirectoryError)
    await expect(reopen()).rejects.toThrow(DataDirectoryError)
  })
})

function flip(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at]! ^= 1
  writeFileSync(file, bytes)
}
