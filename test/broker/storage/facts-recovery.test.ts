/** A row of the table in facts-recovery.ts each. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DataDirectoryError, DataDirectoryLockedError } from '../../../broker/errors.ts'
import { openDataDirectory } from '../../../broker/storage/data-directory.ts'
import { noDirectoryRecovery } from '../../../broker/storage/directory-recovery.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { DirectoryProcess } from '../../support/data-directory-process.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import {
  damage,
  EDGE,
  expectTrue,
  factFile,
  factsOf,
  file,
  make,
  moveTo,
  NAMES,
  openAt,
  path,
  quarantined,
  root,
  sink,
  snapshot,
  useDataDirectories,
} from './recovered-directory.ts'

useDataDirectories()

describe('the store of facts', () => {
  it.each([
    ['CURRENT missing', () => rmSync(file('facts', 'CURRENT')), 180],
    ['CURRENT damaged', () => writeFileSync(file('facts', 'CURRENT'), 'x'), 180],
    [
      'its manifest missing',
      () => rmSync(factFile(readFileSync(file('facts', 'CURRENT'), 'utf8').trim())),
      180,
    ],
    ['a table missing', () => rmSync(factFile('.ldb')), 60],
    ['a table half overwritten', () => damage(factFile('.ldb')), 60],
    ['its write-ahead file half overwritten', () => damage(factFile('.log')), 120],
  ])('with %s is salvaged, and the damaged one kept', async (_, harm, atLeast) => {
    const identity = await make()
    harm()
    const data = await openAt()
    expect(data.identity).toEqual(identity)
    const facts = await factsOf(data)
    expectTrue(facts)
    expect(facts.size).toBeGreaterThanOrEqual(atLeast)
    // a write-ahead file with nothing whole behind its damage is LevelDB's own business
    if (data.recovery.factsSalvaged > 0) {
      expect(data.recovery).toEqual({ ...noDirectoryRecovery(), factsSalvaged: 1 })
      expect(sink.matching('the store of facts is damaged')).toMatchObject([
        { level: 'error', fields: { facts: facts.size + (facts.size < 180 ? 0 : 1) } },
      ])
      expect(quarantined().toSorted()).toEqual(['facts', 'why.json'])
    }
    await data.facts.put('fact 0/0', Buffer.alloc(200, '00'))
    expect(
      readdirSync(path)
        .filter((name) => name !== 'quarantine')
        .toSorted(),
    ).toEqual(NAMES)
    await data.facts.close()
    expect((await openAt()).recovery).toEqual(noDirectoryRecovery())
  })

  it.each([
    ['gone', () => rmSync(file('facts'), { recursive: true })],
    ['empty', () => rmSync(file('facts'), { recursive: true }) ?? mkdirSync(file('facts'))],
  ])('that is %s beside a log is made anew, counted and told', async (_, harm) => {
    const identity = await make()
    harm()
    const data = await openAt()
    expect(data.identity).toEqual(identity)
    expect(data.recovery).toEqual({ ...noDirectoryRecovery(), factsMissing: 1 })
    expect(sink.matching('made anew')).toHaveLength(1)
    expect(await data.facts.identity()).toMatchObject({ identity })
  })

  it('in whose place is a file is made anew, and the file kept', async () => {
    const identity = await make()
    rmSync(file('facts'), { recursive: true })
    writeFileSync(file('facts'), 'a file')
    const data = await openAt()
    expect(data.identity).toEqual(identity)
    expect(data.recovery).toEqual({ ...noDirectoryRecovery(), factsSalvaged: 1 })
    expect(quarantined().toSorted()).toEqual(['facts', 'why.json'])
  })

  it('with a fact that is damaged where LevelDB does not see it says so, and does not hand it out', async () => {
    await make()
    const table = factFile('.ldb')
    const bytes = readFileSync(table)
    const at = bytes.indexOf('0303030303')
    expect(at).toBeGreaterThan(0)
    bytes[at + 2] = 0x39
    writeFileSync(table, bytes)
    const data = await openAt()
    const facts = await factsOf(data)
    expectTrue(facts)
    expect(facts.size).toBe(179)
    expect(data.recovery.factsDamaged).toBe(1)
    expect(sink.matching('a fact is damaged')).toHaveLength(1)
  })

  it('survives a power cut at each step of its salvage, with the same facts, and leaves nothing beside it', async () => {
    const identity = await make()
    damage(factFile('.ldb'))
    const original = join(root, 'original')
    cpSync(path, original, { recursive: true })
    const whole = await openAt()
    const expected = await factsOf(whole)
    await whole.facts.close()
    const counts = new Set<string>()
    for (let cutAt = 1; ; cutAt++) {
      moveTo(join(root, `cut-${cutAt}`))
      cpSync(original, path, { recursive: true })
      const disk = new FaultyDisk(nodeDisk)
      disk.cutPowerAt(cutAt)
      await openDataDirectory(disk, path, EDGE, sink).catch(() => {})
      const isDone = !disk.isOff
      await disk.bury()
      if (isDone) {
        expect(cutAt).toBeGreaterThan(12)
        break
      }
      const data = await openAt()
      const place = `cut at ${cutAt}: ${disk.trace.at(-1)!.kind} ${disk.trace.at(-1)!.path}`
      expect(data.identity, place).toEqual(identity)
      expect(await factsOf(data), place).toEqual(expected)
      counts.add(JSON.stringify(data.recovery.factsSalvaged))
      expect(
        readdirSync(path)
          .filter((name) => name !== 'quarantine')
          .toSorted(),
        place,
      ).toEqual(NAMES)
      expect(
        quarantined().filter((name) => name === 'facts'),
        place,
      ).toHaveLength(1)
      await data.facts.close()
      const again = await openAt()
      expect(again.recovery, place).toEqual(noDirectoryRecovery())
      await again.facts.close()
    }
    // after the last cuts the swap was done: there is nothing left to tell
    expect([...counts].toSorted()).toEqual(['0', '1'])
  })

  it.each([
    ['damaged', () => rmSync(factFile('.ldb'))],
    ['whole', () => {}],
  ])('that is %s does not get what an unfinished salvage left', async (_, harm) => {
    await make()
    const stale = await openDataDirectory(nodeDisk, join(root, 'stale'), EDGE)
    await stale.facts.put('fact 9/9', Buffer.from('stale'))
    await stale.facts.close()
    cpSync(join(root, 'stale', 'facts'), file('facts.salvaged'), { recursive: true })
    harm()
    const facts = await factsOf(await openAt())
    expectTrue(facts)
    expect(facts.has('fact 9/9')).toBe(false)
    expect(
      readdirSync(path)
        .filter((name) => name !== 'quarantine')
        .toSorted(),
    ).toEqual(NAMES)
  })

  it('that a disk full cannot hold a second time refuses the start, and is salvaged once there is room', async () => {
    await make()
    damage(factFile('.ldb'))
    const disk = new FaultyDisk(nodeDisk)
    disk.fail({ on: 'write', path: 'facts.salvaged', code: 'ENOSPC' })
    await expect(openAt(EDGE, disk)).rejects.toThrow(/no space is left/)
    const data = await openAt(EDGE, disk)
    expect(data.recovery.factsSalvaged).toBe(1)
  })

  it('that another process has open is neither judged nor touched, damaged or not', async () => {
    await make()
    const other = new DirectoryProcess()
    try {
      expect(await other.start({ directory: path, stays: true })).toMatchObject({ error: null })
      await expect(openAt()).rejects.toBeInstanceOf(DataDirectoryLockedError)
      expect(await nodeDisk.isStoreLocked(file('facts'))).toBe(true)
      // the file is open there: what is written to it is seen by both
      rmSync(file('facts', 'CURRENT'))
      damage(factFile('.ldb'))
      const before = snapshot()
      const refused = openAt()
      await expect(refused).rejects.toBeInstanceOf(DataDirectoryLockedError)
      await expect(refused).rejects.toThrow(path)
      expect(snapshot()).toEqual(before)
      await other.kill()
      expect((await openAt()).recovery.factsSalvaged).toBe(1)
    } finally {
      await other.kill()
    }
  })

  it('is mended by one of two that find it damaged at the same time', async () => {
    await make()
    rmSync(factFile('.ldb'))
    const disk = new FaultyDisk(nodeDisk)
    const second = new DirectoryProcess()
    const places = [
      ['create-store', 'facts.salvaged'],
      ['move', '/quarantine/'],
      ['move', '/data/facts'],
      ['close-store', 'facts.guard'],
    ] as const
    for (const [kind, where] of places) {
      const gate = disk.hold(kind, where)
      const first = openAt(EDGE, disk)
      await gate.reached
      const answer = await second.start({ directory: path })
      expect(answer?.error, where).toMatch(/^HW_DATA_LOCKED/)
      gate.release()
      const data = await first
      const facts = await factsOf(data)
      expectTrue(facts)
      expect(facts.size).toBeGreaterThan(0)
      await data.facts.close()
      rmSync(file('facts', 'CURRENT'))
    }
    await second.kill()
  })

  it('that another process mended since it was found damaged is opened as it is', async () => {
    await make()
    rmSync(factFile('.ldb'))
    const disk = new FaultyDisk(nodeDisk)
    const gate = disk.hold('create-store', 'facts.guard')
    const first = openAt(EDGE, disk)
    await gate.reached
    const second = new DirectoryProcess()
    expect(await second.start({ directory: path })).toMatchObject({ error: null })
    await second.kill()
    gate.release()
    const data = await first
    expect(data.recovery.factsSalvaged).toBe(0)
    expect((await data.facts.get('put by the child'))?.toString()).toBe('1')
  })

  it('that the disk cannot keep is not mended for ever', async () => {
    await make()
    damage(factFile('.ldb'))
    const disk = new FaultyDisk(nodeDisk)
    const moved = disk.move.bind(disk)
    disk.move = async (from, to) => {
      await moved(from, to)
      if (to === file('facts')) rmSync(file('facts', 'CURRENT'))
    }
    await expect(openAt(EDGE, disk)).rejects.toThrow(/does not give back what is written/)
    await expect(openAt(EDGE, disk)).rejects.toBeInstanceOf(DataDirectoryError)
  })
})
