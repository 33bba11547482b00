/** Scans: order, ranges, binary keys, and what is seen of changes that come meanwhile. */
import { describe, expect, it } from 'vitest'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { openLog } from '../log/support.ts'
import { type Change, change, collected, openTables, STREAM, shown } from './support.ts'

const binary = (text: string) => Buffer.from(text, 'latin1')
const keysOf = (entries: readonly { key: Buffer }[]) => entries.map(({ key }) => key.toString('latin1'))

/** Half of the changes are in the store, half are pending. */
async function halfWritten(changes: readonly Change[]) {
  const disk = new MemoryDisk()
  const log = await openLog(disk)
  const tables = openTables(disk, log)
  await change(log, changes.slice(0, changes.length / 2))
  await collected(tables.scan(STREAM))
  await tables.close()
  await change(log, changes.slice(changes.length / 2))
  return { log, tables: openTables(disk, log, { limits: { pendingMsMax: 3_600_000 } }) }
}

describe('a scan', () => {
  it('brings keys in the order of their bytes', async () => {
    const keys = ['b', '\xff\x00', '', 'a', '\x00', '\x7f', '\x80', 'aa', '\xff', 'a\x00']
    const { tables } = await halfWritten(keys.map((key) => [binary(key), key] as const))
    expect(keysOf(await collected(tables.scan(STREAM)))).toEqual([
      '',
      '\x00',
      'a',
      'a\x00',
      'aa',
      'b',
      '\x7f',
      '\x80',
      '\xff',
      '\xff\x00',
    ])
    const prefixed = async (prefix: string) =>
      keysOf(await collected(tables.scan(STREAM, { prefix: binary(prefix) })))
    expect(await prefixed('a')).toEqual(['a', 'a\x00', 'aa'])
    expect(await prefixed('\xff')).toEqual(['\xff', '\xff\x00'])
    expect(await prefixed('\x80')).toEqual(['\x80'])
    expect(await prefixed('nothing')).toEqual([])
  })

  it('agrees with a model over random binary keys, in pages', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const alphabet = ['\x00', 'a', 'b', '\xfe', '\xff']
    const key = (max: number) =>
      Array.from({ length: random.between(0, max) }, () => alphabet[random.between(0, 4)]).join('')
    const changes = Array.from({ length: 400 }, (_, i): Change => {
      return [binary(key(5)), random.next() < 0.25 ? null : String(i)]
    })
    const model = new Map<string, string | null>()
    for (const [name, value] of changes) model.set((name as Buffer).toString('latin1'), value)
    const expected = [...model].filter(([, value]) => value !== null).sort(([a], [b]) => (a < b ? -1 : 1))
    const { tables } = await halfWritten(changes)
    for (let round = 0; round < 60; round++) {
      const [prefix, after] = [key(2), random.next() < 0.5 ? undefined : key(4)]
      const limit = random.between(0, 30)
      const range = {
        prefix: binary(prefix),
        ...(after === undefined ? {} : { after: binary(after) }),
        limit,
      }
      const found = await collected(tables.scan(STREAM, range))
      expect(
        found.map((entry) => [entry.key.toString('latin1'), entry.value.toString()]),
        `seed ${seed}, prefix ${JSON.stringify(prefix)}, after ${JSON.stringify(after)}`,
      ).toEqual(
        expected
          .filter(([name]) => name.startsWith(prefix) && (after === undefined || name > after))
          .slice(0, limit),
      )
    }
  })

  it('shows one moment, whatever changes while it is read', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const tables = openTables(disk, log, { limits: { pendingBytesMax: 1 } })
    const names = Array.from({ length: 500 }, (_, i) => `key ${String(i).padStart(3, '0')}`)
    await change(
      log,
      names.map((name) => [name, 'x'.repeat(1000)] as const),
    )
    const seen: string[] = []
    for await (const { key, value } of tables.scan(STREAM)) {
      seen.push(key.toString())
      expect(value.length).toBe(1000)
      if (seen.length === 1) {
        await change(log, [...names.map((name) => [name, null] as const), ['key zzz', 'new']])
        // applied and written, while the scan stands at its first entry
        expect(keysOf(await collected(tables.scan(STREAM)))).toEqual(['key zzz'])
      }
    }
    expect(seen).toEqual(names)
  })

  it('that is left early lets go of its moment', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const tables = openTables(disk, log)
    await change(log, [
      ['a', '1'],
      ['b', '2'],
    ])
    // more of them than may be open at one time
    for (let i = 0; i < 150; i++) for await (const _ of tables.scan(STREAM)) break
    expect(shown(await collected(tables.scan(STREAM, { limit: 1 })))).toEqual(['a=1'])
  })

  it('is refused when too many are open', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const tables = openTables(disk, log)
    await change(log, [['a', '1']])
    const scans = Array.from({ length: 100 }, () => tables.scan(STREAM))
    for (const scan of scans) await scan.next()
    await expect(tables.scan(STREAM).next()).rejects.toThrow(/has 100 readers at work already/)
    await scans[0]!.return()
    expect((await tables.scan(STREAM).next()).done).toBe(false)
    for (const scan of scans) await scan.return()
  })

  it('ends with an error when the table is closed under it', async () => {
    const disk = new MemoryDisk()
    const log = await openLog(disk)
    const tables = openTables(disk, log)
    const names = Array.from({ length: 500 }, (_, i) => `key ${i}`)
    await change(
      log,
      names.map((name) => [name, 'x'.repeat(1000)] as const),
    )
    await collected(tables.scan(STREAM))
    const scan = tables.scan(STREAM)
    await scan.next()
    await tables.close()
    await expect(collected(scan)).rejects.toMatchObject({ code: 'HW_TABLE_UNAVAILABLE' })
  })
})
