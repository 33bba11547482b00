/** A row of the tables in data-directory.ts and facts-recovery.ts each. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DataDirectoryError, DataDirectoryLockedError } from '../../../broker/errors.ts'
import {
  DATA_FORMAT,
  type DataDirectory,
  type Identity,
  isDataDirectory,
  openDataDirectory,
  renameEdge,
} from '../../../broker/storage/data-directory.ts'
import { noDirectoryRecovery } from '../../../broker/storage/directory-recovery.ts'
import { encodeIdentity } from '../../../broker/storage/identity.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { DirectoryProcess } from '../../support/data-directory-process.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { RecordingSink } from '../log/support.ts'

let root: string
let path: string
let sink: RecordingSink
let open: DataDirectory[]
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-data-'))
  path = join(root, 'data')
  sink = new RecordingSink()
  open = []
})
afterEach(async () => {
  await Promise.all(open.map(({ facts }) => facts.close()))
  rmSync(root, { recursive: true, force: true })
})

const EDGE = { name: 'edge-1', isExplicit: true }
const OTHER = { name: 'host', isExplicit: false }
const NAMES = ['catalog.json', 'facts', 'headwater.json', 'log']

async function openAt(edge = EDGE, disk: Disk = nodeDisk): Promise<DataDirectory> {
  const data = await openDataDirectory(disk, path, edge, sink)
  open.push(data)
  return data
}

/** A directory with a log, with facts in a table and in a write-ahead file. */
async function make(): Promise<Identity> {
  for (const part of [0, 1, 2]) {
    const { facts, identity } = await openDataDirectory(nodeDisk, path, EDGE)
    for (let i = 0; i < 60; i++) await facts.put(`fact ${part}/${i}`, Buffer.alloc(200, `${part}${i}`))
    await facts.close()
    if (part < 2) continue
    mkdirSync(join(path, 'log', 'main', '00000001'), { recursive: true })
    writeFileSync(join(path, 'log', 'main', 'manifest.json'), '{}')
    writeFileSync(join(path, 'catalog.json'), '{}')
    return identity
  }
  throw new Error('unreachable')
}

const file = (...names: string[]) => join(path, ...names)
const factFile = (end: string) =>
  file('facts', readdirSync(file('facts')).find((name) => name.endsWith(end))!)

function damage(target: string): void {
  const bytes = readFileSync(target)
  for (let at = bytes.length >> 1; at < bytes.length; at++) bytes[at] = 0xa5
  writeFileSync(target, bytes)
}

async function factsOf({ facts }: DataDirectory): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const page of facts.pages()) for (const [name, value] of page) found.set(name, value.toString())
  return found
}

/** None is wrong. */
function expectTrue(facts: Map<string, string>): void {
  for (const [name, value] of facts) {
    const [, part, i] = /^fact (\d)\/(\d+)$/.exec(name)!
    expect(value).toBe(Buffer.alloc(200, `${part}${i}`).toString())
  }
}

/** Every file below with its bytes, and what changed when. */
function snapshot(): unknown[] {
  const own = statSync(path).mtimeMs
  const below = readdirSync(path, { recursive: true, withFileTypes: true }).map((entry) => {
    const name = join(entry.parentPath, entry.name)
    return [name, entry.isFile() ? readFileSync(name, 'latin1') : null, statSync(name).mtimeMs]
  })
  return [own, ...below]
}

const quarantined = () =>
  readdirSync(file('quarantine')).flatMap((name) => readdirSync(file('quarantine', name)))

describe('the identity', () => {
  it('is whole in both places after a first start, and nothing is counted', async () => {
    const { identity, facts, recovery } = await openAt()
    expect(await facts.identity()).toEqual({ kind: 'whole', identity, hasCrc: true })
    expect(recovery).toEqual(noDirectoryRecovery())
    expect(sink.lines).toEqual([])
  })

  it.each([
    ['missing', () => rmSync(file('headwater.json'))],
    ['empty', () => writeFileSync(file('headwater.json'), '')],
    ['zeros', () => writeFileSync(file('headwater.json'), Buffer.alloc(300))],
    [
      'of a newer format by a flipped bit',
      () =>
        writeFileSync(
          file('headwater.json'),
          readFileSync(file('headwater.json'), 'utf8').replace('"format": 1', '"format": 3'),
        ),
    ],
    [
      'of another edge by a flipped bit',
      () =>
        writeFileSync(
          file('headwater.json'),
          readFileSync(file('headwater.json'), 'utf8').replace('edge-1', 'edge-3'),
        ),
    ],
    ['a directory', () => rmSync(file('headwater.json')) ?? mkdirSync(file('headwater.json'))],
  ])('is restored from its copy where headwater.json is %s', async (what, harm) => {
    const identity = await make()
    harm()
    expect(await isDataDirectory(nodeDisk, path)).toBe(true)
    const data = await openAt()
    expect(data.identity).toEqual(identity)
    expect(data.recovery).toEqual({ ...noDirectoryRecovery(), identityRestored: 1 })
    expect(sink.matching('restored from its copy')).toHaveLength(1)
    expect((await factsOf(data)).size).toBe(180)
    expect(readFileSync(file('headwater.json')).equals(encodeIdentity(identity))).toBe(true)
    if (what === 'missing') expect(existsSync(file('quarantine'))).toBe(false)
    else expect(quarantined().toSorted()).toEqual(['headwater.json', 'why.json'])
    await data.facts.close()
    expect((await openAt()).recovery).toEqual(noDirectoryRecovery())
  })

  it('is restored where the disk does not give headwater.json back', async () => {
    const identity = await make()
    const disk = new FaultyDisk(nodeDisk)
    disk.fail({ on: 'read-file', path: 'headwater.json', times: 2 })
    const data = await openAt(EDGE, disk)
    expect(data.identity).toEqual(identity)
    expect(quarantined()).toContain('headwater.json')
  })

  it('is restored in memory on a disk that is full, and on it once there is room', async () => {
    const identity = await make()
    rmSync(file('headwater.json'))
    const disk = new FaultyDisk(nodeDisk)
    disk.fail({ on: 'replace', code: 'ENOSPC' })
    const data = await openAt(EDGE, disk)
    expect(data.identity).toEqual(identity)
    expect(sink.matching('could not be written')).toHaveLength(1)
    await data.facts.close()
    expect((await openAt()).recovery.identityRestored).toBe(1)
    expect(existsSync(file('headwater.json'))).toBe(true)
  })

  it('restored from its copy is refused to another edge, as the file would be', async () => {
    await make()
    rmSync(file('headwater.json'))
    await expect(openAt({ name: 'edge-2', isExplicit: true })).rejects.toThrow(/belongs to the edge "edge-1"/)
    expect(existsSync(file('headwater.json'))).toBe(false)
  })

  it.each([
    ['headwater.json', () => rmSync(file('headwater.json'))],
    ['what was headwater.json', () => writeFileSync(file('headwater.json'), 'x')],
  ])('lost with its copy beside a log, with or without %s, is made anew and told loudly', async (_, harm) => {
    const before = await make()
    rmSync(file('facts'), { recursive: true })
    harm()
    expect(await isDataDirectory(nodeDisk, path)).toBe(true)
    const { identity, recovery, facts } = await openAt(OTHER)
    expect(identity).toMatchObject({ edge: 'host', format: DATA_FORMAT })
    expect(identity.incarnation).not.toBe(before.incarnation)
    expect(recovery).toEqual({ ...noDirectoryRecovery(), identityReplaced: 1, factsMissing: 1 })
    expect(sink.matching('HW_CHECKPOINT_MISMATCH')).toMatchObject([{ level: 'error' }])
    await facts.close()
    const again = await openAt(OTHER)
    expect(again.identity).toEqual(identity)
    expect(again.recovery).toEqual(noDirectoryRecovery())
  })

  it('that is lost is not made by those that only read', async () => {
    await make()
    rmSync(file('facts'), { recursive: true })
    rmSync(file('headwater.json'))
    await openAt({ name: '', isExplicit: false, isReading: true } as typeof EDGE)
    expect(existsSync(file('headwater.json'))).toBe(false)
  })

  it('in headwater.json counts where the copy says something else, and the copy follows it', async () => {
    const identity = await make()
    const other = { ...identity, edge: 'edge-9', incarnation: 'other' }
    writeFileSync(file('headwater.json'), encodeIdentity(other))
    const { facts, recovery } = await openAt(OTHER)
    expect(await facts.identity()).toMatchObject({ identity: other })
    expect(recovery).toEqual(noDirectoryRecovery())
  })

  it('of before there was a checksum gets one, and a copy', async () => {
    const { identity, facts } = await openAt()
    await facts.close()
    rmSync(file('facts'), { recursive: true })
    writeFileSync(file('headwater.json'), JSON.stringify(identity))
    const data = await openAt()
    expect(data.identity).toEqual(identity)
    expect(data.recovery).toEqual({ ...noDirectoryRecovery(), factsMissing: 1 })
    expect(readFileSync(file('headwater.json')).equals(encodeIdentity(identity))).toBe(true)
    expect(await data.facts.identity()).toMatchObject({ identity })
  })

  it('that lost its checksum to damage does not count against the copy', async () => {
    const identity = await make()
    const text = JSON.stringify({ ...identity, edge: 'edge-3', csc: 'x' })
    writeFileSync(file('headwater.json'), text)
    const data = await openAt()
    expect(data.identity).toEqual(identity)
    expect(data.recovery.identityRestored).toBe(1)
  })

  it('of a newer format is refused, in the file and in the copy', async () => {
    const identity = await make()
    const newer = { ...identity, format: DATA_FORMAT + 1 }
    const { facts } = await openAt()
    await facts.putIdentity(newer)
    await facts.close()
    await (await openAt()).facts.close()
    writeFileSync(file('headwater.json'), encodeIdentity(newer))
    const before = snapshot()
    await expect(openAt()).rejects.toThrow(/format 2, this Headwater reads 1/)
    expect(snapshot()).toEqual(before)
    writeFileSync(file('headwater.json'), encodeIdentity(identity))
    const again = await openAt()
    await again.facts.putIdentity(newer)
    await again.facts.close()
    rmSync(file('headwater.json'))
    await expect(openAt()).rejects.toThrow(/format 2, this Headwater reads 1/)
    expect(existsSync(file('headwater.json'))).toBe(false)
  })

  it('of nobody: a directory named log of another program is not taken for one', async () => {
    mkdirSync(file('log', 'nginx'), { recursive: true })
    writeFileSync(file('log', 'nginx', 'access.log'), 'x')
    await expect(openAt()).rejects.toThrow(/another program \(log\)/)
    expect(await isDataDirectory(nodeDisk, path)).toBe(false)
  })

  it('survives a power cut at each step of a first start, and nothing is told then', async () => {
    for (let cutAt = 1; ; cutAt++) {
      const memory = new MemoryDisk()
      const disk = new FaultyDisk(memory)
      disk.cutPowerAt(cutAt)
      await openDataDirectory(disk, path, EDGE, sink).catch(() => {})
      if (!disk.isOff) break
      const { identity, facts, recovery } = await openDataDirectory(memory, path, EDGE, sink)
      expect(await facts.identity()).toMatchObject({ identity })
      expect(recovery, `cut at ${cutAt}`).toEqual(noDirectoryRecovery())
    }
    expect(sink.lines).toEqual([])
  })

  it('is the old or the new one after a power cut at each step of a rename, in both places at the next start', async () => {
    const found = new Set<string>()
    for (let cutAt = 1; ; cutAt++) {
      const memory = new MemoryDisk()
      const first = await openDataDirectory(memory, path, EDGE)
      await first.facts.close()
      const disk = new FaultyDisk(memory)
      disk.cutPowerAt(cutAt)
      const renamed = await renameEdge(disk, path, 'edge-2').catch(() => null)
      if (!disk.isOff) break
      expect(renamed).toBeNull()
      const { identity, facts, recovery } = await openDataDirectory(memory, path, OTHER)
      found.add(identity.edge)
      if (identity.edge === 'edge-1') expect(identity).toEqual(first.identity)
      else expect(identity.incarnation).not.toBe(first.identity.incarnation)
      expect(await facts.identity()).toMatchObject({ identity })
      expect(recovery).toEqual(noDirectoryRecovery())
    }
    expect([...found]).toEqual(['edge-1'])
  })

  it('of a rename that was reported is in both places: damage to either does not bring the old one back', async () => {
    await make()
    const { to } = await renameEdge(nodeDisk, path, 'edge-2')
    cpSync(path, join(root, 'other'), { recursive: true })
    rmSync(file('headwater.json'))
    expect((await openAt(OTHER)).identity).toEqual(to)
    path = join(root, 'other')
    rmSync(file('facts'), { recursive: true })
    expect((await openAt(OTHER)).identity).toEqual(to)
  })

  it('that is lost is restored before it is renamed', async () => {
    const identity = await make()
    writeFileSync(file('headwater.json'), '')
    const { from, to } = await renameEdge(nodeDisk, path, 'edge-2')
    expect(from).toEqual(identity)
    expect((await openAt(OTHER)).identity).toEqual(to)
  })
})

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
      path = join(root, `cut-${cutAt}`)
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
      expect((await openAt()).recovery, place).toEqual(noDirectoryRecovery())
      await open.at(-1)!.facts.close()
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
