/** What a start finds and does: a test for each row of the table in broker/log/chain-recovery.ts. On the real disk. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CorruptLogError } from '../../../broker/errors.ts'
import { commitKey, NOTE_ID } from '../../../broker/log/commit-key.ts'
import { NO_RECOVERY } from '../../../broker/log/recovery-counters.ts'
import { openLevelStore } from '../../../broker/storage/level-store.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { append, openLog, RecordingSink, readAll, temporaryDirectory } from './support.ts'

const LEVEL = { writeBufferBytes: 64 * 1024, createIfMissing: true }
const NOTHING = NO_RECOVERY

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

  it('saves the commits behind damage in a write-ahead file, which LevelDB would drop, and names the hole', async () => {
    const { directory, records, reopen, sink } = await written(6, 1e9)
    const wal = writeAheadFile(join(directory, '00000001'))
    const bytes = readFileSync(wal)
    // the second record, of some thirty bytes, holds the first commit; the whole file is one block
    const at = bytes.indexOf('v0')
    bytes[at]! ^= 1
    writeFileSync(wal, bytes)
    const log = await reopen()
    expect(log.status().recovery).toMatchObject({ salvagedSegments: 1 })
    expect(sink.matching('a segment is damaged')[0]!.level).toBe('error')
    expect((await log.verify()).problems).toEqual([])
    const { holes } = await log.verify()
    expect(holes.length).toBeGreaterThan(0)
    const left = await readAll(log, 0)
    expect(records[0]).toEqual(expect.arrayContaining(left))
    const next = log.partitions()[0]!.durableOffset
    expect(next, 'offsets that were acknowledged are not used again').toBeGreaterThanOrEqual(
      records[0]!.length,
    )
    await append(log, 0, ['goes on'])
    expect((await readAll(log, 0)).at(-1)).toBe(`${next}:goes on`)
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
    writeFileSync(join(directory, '.000000fe.index.tmp'), 'half')
    writeFileSync(join(directory, 'notes.txt'), 'a person’s')
    const log = await reopen()
    expect(log.status().recovery).toEqual({ ...NOTHING, leftovers: 3 })
    expect(sink.matching('unfinished roll')).toHaveLength(3)
    const names = readdirSync(directory)
    expect(names).toContain('notes.txt')
    expect(names).not.toContain('.000000fe.index.tmp')
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

  it('that finds segments and no manifest, or none that can be read, makes it again from them', async () => {
    for (const [commits, segmentBytes] of [
      [3, 1e9],
      [10, 300],
    ] as const) {
      for (const text of [null, '', '{', '{"format":1,"segments":[]}']) {
        const { directory, path, records, reopen, sink } = await written(commits, segmentBytes)
        rmSync(join(directory, 'manifest.json'))
        if (text !== null) writeFileSync(join(directory, 'manifest.json'), text)
        const log = await reopen()
        expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(records)
        expect(log.status().recovery).toEqual({ ...NOTHING, rebuiltManifests: 1 })
        expect(sink.matching('the manifest was lost')).toHaveLength(1)
        expect((await log.verify()).problems).toEqual([])
        await append(log, 0, ['on'])
        expect((await readAll(log, 0)).at(-1)).toBe(`${records[0]!.length}:on`)
        await log.close()
        expect((await reopen()).status().recovery).toEqual(NOTHING)
        const kept = text === null ? [] : ['manifest.json-1']
        expect(existsSync(join(path, 'quarantine')) ? readdirSync(join(path, 'quarantine')) : []).toEqual(
          kept,
        )
      }
    }
  })

  it('that finds no catalog, or none that can be read, makes it again from what the segments know', async () => {
    for (const text of [null, '[]', '{']) {
      const { path, records, reopen, sink } = await written(10, 300)
      const catalog = readFileSync(join(path, 'catalog.json'))
      rmSync(join(path, 'catalog.json'))
      if (text !== null) writeFileSync(join(path, 'catalog.json'), text)
      const log = await reopen()
      expect([await readAll(log, 0), await readAll(log, 1)]).toEqual(records)
      expect(log.status().recovery).toEqual({ ...NOTHING, rebuiltManifests: 1 })
      expect(sink.matching('the catalog of streams was lost')).toHaveLength(1)
      expect(readFileSync(join(path, 'catalog.json')).equals(catalog)).toBe(true)
    }
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

  it('refuses a manifest of a newer format, and changes nothing', async () => {
    const { directory, reopen } = await written(3, 1e9)
    const file = join(directory, 'manifest.json')
    const newer = readFileSync(file, 'utf8').replace('"format": 1', '"format": 2')
    writeFileSync(file, newer)
    await expect(reopen()).rejects.toThrow(CorruptLogError)
    await expect(reopen()).rejects.toThrow(/manifest\.json: it has format 2/)
    expect(readFileSync(file, 'utf8')).toBe(newer)
  })

  it('of a log whose active segment is gone goes on behind it, and names what is lost', async () => {
    const { directory, segments, records, reopen } = await written(10, 300)
    const active = segments.at(-1)!
    rmSync(join(directory, active.id), { recursive: true })
    const log = await reopen()
    expect(log.status().recovery).toMatchObject({ salvagedSegments: 1 })
    const left = await readAll(log, 0)
    expect(records[0]!.slice(0, left.length)).toEqual(left)
    expect(left.length).toBeGreaterThan(0)
    expect(log.partitions()[0]!.durableOffset).toBeGreaterThan(records[0]!.length)
    expect((await log.verify()).problems).toEqual([])
    await append(log, 0, ['on'])
    await log.close()
    const again = await reopen()
    expect((await readAll(again, 0)).at(-1)).toMatch(/:on$/)
    expect((await again.verify()).problems).toEqual([])
    expect(again.status().recovery).toMatchObject({ salvagedSegments: 0, faults: 0 })
  })

  it('of a log that lost a sealed segment reads across the hole, and repairs it once', async () => {
    const { directory, path, segments, records, reopen } = await written(20, 300)
    const gone = segments[2]!
    rmSync(join(directory, gone.id), { recursive: true })
    const log = await reopen()
    const left = [await readAll(log, 0), await readAll(log, 1)]
    for (const [partition, all] of records.entries()) {
      expect(all).toEqual(expect.arrayContaining(left[partition]!))
      expect(left[partition]!.length).toBeLessThan(all.length)
      expect(left[partition]!.at(-1)).toBe(all.at(-1))
    }
    expect(log.status().recovery.salvagedSegments).toBe(1)
    const { holes, problems } = await log.verify()
    expect(problems).toEqual([])
    const lost = records.flat().length - left.flat().length
    expect(holes.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(lost)
    await log.close()
    const again = await reopen()
    expect([await readAll(again, 0), await readAll(again, 1)]).toEqual(left)
    expect(again.status().recovery).toEqual(NOTHING)
    expect(existsSync(join(path, 'quarantine')), 'nothing was there to keep').toBe(false)
  })
})

function flip(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at]! ^= 1
  writeFileSync(file, bytes)
}
