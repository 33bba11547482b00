/** A row of the table in data-directory.ts each. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  DATA_FORMAT,
  isDataDirectory,
  openDataDirectory,
  renameEdge,
} from '../../../broker/storage/data-directory.ts'
import { noDirectoryRecovery } from '../../../broker/storage/directory-recovery.ts'
import { encodeIdentity } from '../../../broker/storage/identity.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import {
  EDGE,
  factsOf,
  file,
  make,
  moveTo,
  OTHER,
  openAt,
  path,
  quarantined,
  root,
  sink,
  snapshot,
  useDataDirectories,
} from './recovered-directory.ts'

useDataDirectories()

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
    moveTo(join(root, 'other'))
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
