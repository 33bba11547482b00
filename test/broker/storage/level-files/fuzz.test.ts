/**
 * Stores that LevelDB wrote, damaged at random, judged by the checker, by LevelDB itself in a process that may end over them, and by what
 * was written. HEADWATER_TEST_CASES=5000 is a long run.
 */
import { cpSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { checkStore, type StoreReport } from '../../../../broker/storage/level-files/check-store.ts'
import type { SalvageReport } from '../../../../broker/storage/level-files/salvage-report.ts'
import { type SalvageOptions, salvageStore } from '../../../../broker/storage/level-files/salvage-store.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import {
  type Damage,
  damage,
  factSource,
  isSealed,
  LevelJudge,
  leftBehindSource,
  logSource,
  place,
  removeTemporaryDirectories,
  type Source,
  temporaryDirectory,
} from './support.ts'

const seed = testSeed()
const cases = Number(process.env.HEADWATER_TEST_CASES ?? 200)

let root: string
let sources: Source[]
const judge = new LevelJudge()
const outcomes = new Map<string, number>()

beforeAll(async () => {
  root = temporaryDirectory()
  const random = seededRandom(seed)
  sources = [
    await logSource(root, 'log', random, { commits: 80, perCommit: 4, valueBytes: [300, 6000] }),
    await logSource(root, 'big', random, { commits: 6, perCommit: 2, valueBytes: [30_000, 300_000] }),
    await logSource(root, 'tiny', random, { commits: 900, perCommit: 4, valueBytes: [0, 20] }),
    await factSource(root, 'facts', random, 800),
    await leftBehindSource(root, 'left-behind', random),
  ]
})
afterAll(() => {
  judge.close()
  removeTemporaryDirectories()
  console.log(`HEADWATER_TEST_SEED=${seed}`, Object.fromEntries([...outcomes].toSorted()))
})

async function salvaged(directory: string, options: SalvageOptions) {
  const entries = new Map<string, Buffer>()
  const salvage = salvageStore(nodeDisk, directory, options)
  let last = ''
  for await (const { key, value } of salvage) {
    const hex = key.toString('hex')
    expect(hex > last || entries.size === 0).toBe(true)
    last = hex
    entries.set(hex, value)
  }
  return { entries, report: salvage.report }
}

/** True where the salvage says that this key may have been lost, or an older value of it found. */
function isAccounted(key: string, source: Source, report: SalvageReport): boolean {
  return report.lost.some(({ from, to, isByWriting }) => {
    if (isByWriting && !source.isWrittenOnce) return true
    return (from === null || from.toString('hex') <= key) && (to === null || key <= to.toString('hex'))
  })
}

/**
 * A page of a write-ahead file written over another one of it: each piece keeps its checksum, and a record is joined of two. LevelDB hands
 * it out as well; only the value's own checksum tells.
 */
function isJoinedOfTwo({ steps }: Damage): boolean {
  return steps.some(({ file, what }) => file.endsWith('.log') && what.includes('written at'))
}

/**
 * What nothing on disk can tell: a file that is gone, or that ends where one of its records does; without a manifest, what a table
 * held a part of which is another's, and which of the
 * tables that a compaction replaced were removed.
 */
function isTraceless(
  damaged: Damage,
  source: Source,
  check: StoreReport,
  { hadManifest }: SalvageReport,
): boolean {
  if (source.name === 'left-behind' && !hadManifest) return true
  if (check.findings.some(({ kind }) => kind === 'wal-missing') || isJoinedOfTwo(damaged)) return true
  return damaged.steps.some(({ file, what }) => {
    if (what === 'removed') return true
    return file.endsWith('.log') ? what.includes('cut to') : what.includes('written at') && !hadManifest
  })
}

function differences(source: Source, found: ReadonlyMap<string, Buffer>): string[] {
  const keys = new Set([...source.truth.keys(), ...found.keys()])
  return [...keys].filter((key) => {
    const [is, was] = [found.get(key), source.truth.get(key)]
    return is === undefined || was === undefined || !is.equals(was)
  })
}

async function run(i: number): Promise<void> {
  const random = seededRandom(seed * 1_000_003 + i)
  const source = sources[i % sources.length]!
  const damaged = damage(source.files, random)
  place(root, 'damaged', damaged.files)
  const directory = place(root, 'case', damaged.files)
  const check = await checkStore(nodeDisk, directory, { depth: 'blocks' })
  const structure = await checkStore(nodeDisk, directory, { depth: 'structure' })
  const kindsOf = (report: StoreReport) => report.findings.map(({ kind }) => kind)
  const isOfBlocks = (kind: string) => kind.startsWith('block-') || kind === 'table-order'
  const context = JSON.stringify({ source: source.name, steps: damaged.steps, findings: check.findings })
  expect(kindsOf(structure), context).toEqual(kindsOf(check).filter((kind) => !isOfBlocks(kind)))

  const accept = (key: Buffer, value: Buffer | undefined) => isSealed(key, value)
  const careful = await salvaged(directory, { accept, keysAreWrittenOnce: source.isWrittenOnce })
  for (const [key, value] of careful.entries) {
    if (isJoinedOfTwo(damaged) && !isSealed(Buffer.from(key, 'hex'), value)) continue
    expect(
      source.history.get(key)?.some((had) => had?.equals(value)),
      `${key} ${context}`,
    ).toBe(true)
  }
  if (!isTraceless(damaged, source, check, careful.report))
    for (const key of differences(source, careful.entries))
      expect(isAccounted(key, source, careful.report), `${key} ${context}`).toBe(true)

  const trusting = await salvaged(directory, { accept: () => true })
  const outcome = await judge.open(directory)
  const word =
    outcome.kind === 'opened' ? (outcome.opened.error === null ? 'opened' : 'refused') : outcome.kind
  const name = `${check.verdict}, ${word}`
  outcomes.set(name, (outcomes.get(name) ?? 0) + 1)
  if (check.verdict === 'salvage') return
  expect(outcome, context).toMatchObject({ kind: 'opened', opened: { error: null, differing: [] } })
  if (outcome.kind !== 'opened') return
  const { crc32c } = await import('../../../../broker/storage/crc32c.ts')
  const ours = [...trusting.entries].map(([key, value]) => [key, crc32c(value)])
  expect(ours, context).toEqual(outcome.opened.entries)
  if (check.findings.length === 0 && !isTraceless(damaged, source, check, careful.report))
    expect(differences(source, trusting.entries), context).toEqual([])
}

it('a store that is called openable opens and reads in LevelDB; what is salvaged was written; what is lost is told', async () => {
  for (let i = 0; i < cases; i++) {
    try {
      await run(i)
    } catch (error) {
      // LevelDB compacts in its own time: the same seed need not give the same files
      const kept = join(tmpdir(), `headwater-level-${seed}-${i}`)
      cpSync(join(root, 'damaged'), kept, { recursive: true })
      throw new Error(`HEADWATER_TEST_SEED=${seed}, case ${i}, kept in ${kept}`, { cause: error })
    }
  }
}, 3_600_000)
