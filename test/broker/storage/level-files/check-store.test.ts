/** What the checker tells beside its verdict; a row for each kind of damage is in check-store-damage.test.ts. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkStore } from '../../../../broker/storage/level-files/check-store.ts'
import { FINDINGS_MAX } from '../../../../broker/storage/level-files/findings.ts'
import type { IndexedBlock } from '../../../../broker/storage/level-files/table-structure.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { withBrokenPages } from './broken-pages.ts'
import { type Files, place, removeTemporaryDirectories, type Source } from './support.ts'
import { changed as changedFiles, nameOf, writeLog } from './written-log.ts'

let root: string
let source: Source
let table: string
let blocks: readonly IndexedBlock[]

beforeAll(async () => {
  ;({ root, log: source, table, blocks } = await writeLog())
  expect(blocks.length).toBeGreaterThan(5)
})
afterAll(removeTemporaryDirectories)

type Change = (files: Map<string, Buffer>) => void

const changed = (change: Change): Files => changedFiles(source, change)

const walOf = (files: Files) => nameOf(files, '.log')
const manifestOf = (files: Files) => nameOf(files, 'MANIFEST')

/** At the beginning of the table's third block. */
const zeros: Change = (files) => {
  const { offset } = blocks[2]!
  files.get(table)!.fill(0, offset, offset + 100)
}

describe('the checker', () => {
  it('leaves the data blocks alone at the depth of structure', async () => {
    const directory = place(root, 'case', changed(zeros))
    const report = await checkStore(nodeDisk, directory, { depth: 'structure' })
    expect(report).toMatchObject({ verdict: 'openable', findings: [] })
  })

  it('names the place of a damaged block and the keys between which it lies', async () => {
    const directory = place(root, 'case', changed(zeros))
    const { findings } = await checkStore(nodeDisk, directory, { depth: 'blocks' })
    const { offset: at, size } = blocks[2]!
    const keys = { from: blocks[1]!.separator.subarray(0, -8), to: blocks[2]!.separator.subarray(0, -8) }
    expect(findings).toMatchObject([{ kind: 'block-damaged', file: table, at, bytes: size + 5, keys }])
  })

  it('calls a page that the disk does not give back unreadable, wherever it is', async () => {
    const check = async (file: string, at: number) => {
      const disk = withBrokenPages(nodeDisk, file, [at])
      const directory = place(root, 'case', source.files)
      const { verdict, findings } = await checkStore(disk, directory, { depth: 'blocks' })
      expect(verdict).toBe('salvage')
      return new Set(findings.map(({ kind }) => kind))
    }
    const tableBytes = source.files.get(table)!.length
    expect(await check(table, blocks[3]!.offset)).toEqual(new Set(['unreadable']))
    expect(await check(table, tableBytes - 10)).toContain('unreadable')
    expect(await check(manifestOf(source.files), 0)).toEqual(new Set(['manifest-damaged']))
    expect(await check(walOf(source.files), 0)).toContain('wal-hides-records')
  })

  it('does not take a failure that is none of the medium for damage', async () => {
    const disk: Disk = {
      ...nodeDisk,
      openFile: async () => {
        throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
      },
    }
    const directory = place(root, 'case', source.files)
    await expect(checkStore(disk, directory, { depth: 'blocks' })).rejects.toMatchObject({ code: 'EACCES' })
  })

  it('finds an empty directory, one that is not there, and one full of directories, fit for nothing', async () => {
    for (const make of [
      () => {},
      (directory: string) => mkdirSync(directory),
      (directory: string) => mkdirSync(join(directory, 'CURRENT'), { recursive: true }),
    ]) {
      const directory = join(root, 'none')
      make(directory)
      const { verdict, findings } = await checkStore(nodeDisk, directory, { depth: 'blocks' })
      expect({ verdict, kinds: findings.map(({ kind }) => kind) }).toEqual({
        verdict: 'salvage',
        kinds: ['current-missing'],
      })
      rmSync(directory, { recursive: true, force: true })
    }
  })

  it('lists so many findings, and counts the others', async () => {
    const directory = place(root, 'case', source.files)
    for (let i = 0; i < FINDINGS_MAX + 5; i++) writeFileSync(join(directory, `x${i}`), '')
    const { findings, omitted, verdict } = await checkStore(nodeDisk, directory, { depth: 'structure' })
    expect({ count: findings.length, omitted, verdict }).toEqual({
      count: FINDINGS_MAX,
      omitted: 5,
      verdict: 'openable',
    })
  })

  it('has nothing to check where stores are not LevelDB’s files', async () => {
    const disk = new MemoryDisk()
    expect(await checkStore(disk, '/none', { depth: 'blocks' })).toEqual({
      verdict: 'openable',
      findings: [],
      omitted: 0,
      wasChecked: false,
    })
  })
})
