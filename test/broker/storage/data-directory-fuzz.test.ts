/**
 * Random damage to headwater.json and the files of facts/: a start never fails, never ends the process, never believes what was not
 * written. HEADWATER_TEST_SEED plays a failure again, HEADWATER_FUZZ_RUNS asks for more.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../../broker/storage/data-directory.ts'
import { decodeIdentity, type Identity } from '../../../broker/storage/identity.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { DirectoryProcess } from '../../support/data-directory-process.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'
import { damage } from './level-files/support.ts'

const RUNS = Number(process.env.HEADWATER_FUZZ_RUNS ?? 60)
const root = mkdtempSync(join(tmpdir(), 'headwater-fuzz-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Source {
  readonly path: string
  readonly identity: Identity
  /** By name, every value it ever had; the last one is the truth. */
  readonly history: ReadonlyMap<string, readonly string[]>
  /** By name, the file of facts/ that has its last value; likewise of the identity. */
  readonly files: ReadonlyMap<string, string>
  readonly identityFile: string
  /** All that have this value of a fact. */
  readonly filesOf: (value: string) => string[]
}

type Facts = Map<string, Buffer>

function readFacts(path: string): Facts {
  const directory = join(path, 'facts')
  const names = readdirSync(directory).filter((name) => name !== 'LOCK')
  return new Map(names.map((name) => [name, readFileSync(join(directory, name))]))
}

/** Positions that grow, written over several starts. */
async function make(name: string, random: Random): Promise<Source> {
  const path = join(root, name)
  const history = new Map<string, string[]>()
  const starts = random.between(1, 3)
  let identity!: Identity
  let version = 0
  for (let start = 0; start < starts; start++) {
    const data = await openDataDirectory(nodeDisk, path, { name: 'edge-1', isExplicit: true })
    identity = data.identity
    for (let i = random.between(5, 150); i > 0; i--) {
      const fact = `sync/checkpoint/${random.between(0, 60)}`
      const filling = 'x'.repeat(random.between(0, 300))
      const value = `${fact} is at ${String(++version).padStart(6, '0')} ${filling}`
      await data.facts.put(fact, Buffer.from(value))
      history.set(fact, [...(history.get(fact) ?? []), value])
    }
    await data.facts.close()
  }
  mkdirSync(join(path, 'log', 'main', '00000001'), { recursive: true })
  const found = [...readFacts(path)].filter(([file]) => /\.(ldb|log)$/.test(file)).toSorted()
  // a write-ahead file splits what goes over the end of one of its blocks
  const log = found.findLast(([file]) => file.endsWith('.log'))![0]
  const fileOf = (text: string) => found.findLast(([, bytes]) => bytes.includes(text))?.[0] ?? log
  const files = new Map([...history].map(([fact, values]) => [fact, fileOf(values.at(-1)!)]))
  const filesOf = (text: string) => [
    fileOf(text),
    ...found.filter(([, bytes]) => bytes.includes(text)).map(([file]) => file),
  ]
  return { path, identity, history, files, identityFile: fileOf(identity.incarnation), filesOf }
}

interface Harm {
  readonly steps: string
  readonly harmed: ReadonlySet<string>
}

/** Damages facts, headwater.json, or both. */
function harm(path: string, random: Random): Harm {
  const what = random.between(0, 2)
  const steps: string[] = []
  const harmed = new Set<string>()
  const note = (done: ReturnType<typeof damage>['steps']) => {
    for (const { file, what: how } of done) {
      steps.push(`${file}: ${how}`)
      harmed.add(file)
    }
  }
  if (what !== 0) {
    const before = readFacts(path)
    const { files, steps: done } = damage(before, random)
    for (const name of before.keys()) rmSync(join(path, 'facts', name))
    for (const [name, bytes] of files) writeFileSync(join(path, 'facts', name), bytes)
    note(done)
  }
  if (what !== 1) {
    const file = join(path, 'headwater.json')
    const { files, steps: done } = damage(new Map([['headwater.json', readFileSync(file)]]), random)
    const bytes = files.get('headwater.json')
    if (bytes === undefined) rmSync(file)
    else writeFileSync(file, bytes)
    note(done)
  }
  return { steps: steps.join('; '), harmed }
}

function isFileWhole(path: string, identity: Identity): boolean {
  try {
    const stored = decodeIdentity(readFileSync(join(path, 'headwater.json')))
    return stored.kind === 'whole' && stored.identity.incarnation === identity.incarnation
  } catch {
    return false
  }
}

describe('a damaged data directory', () => {
  it('is started, with its identity wherever one copy survived, and with no fact that is wrong', {
    timeout: 60_000 + RUNS * 3000,
  }, async () => {
    const first = testSeed()
    const child = new DirectoryProcess()
    const sums = { missing: 0, older: 0, whole: 0, salvaged: 0, restored: 0, replaced: 0 }
    let source!: Source
    for (let run = 0; run < RUNS; run++) {
      const seed = first + run
      const random = seededRandom(seed)
      if (run % 10 === 0) source = await make(`source-${run}`, seededRandom(first + run))
      const path = join(root, 'damaged')
      rmSync(path, { recursive: true, force: true })
      cpSync(source.path, path, { recursive: true })
      const { steps, harmed } = harm(path, random)
      const place = `HEADWATER_TEST_SEED=${first}, run ${run}: ${steps}`
      const isWhole = isFileWhole(path, source.identity)

      const started = await child.start({ directory: path })
      expect(started, `the process ended; ${place}`).not.toBeNull()
      const { error, identity, facts, recovery } = started!
      expect(error, place).toBeNull()
      if (isWhole || !harmed.has(source.identityFile)) expect(identity, place).toEqual(source.identity)
      else if (identity!.incarnation === source.identity.incarnation)
        expect(identity, place).toEqual(source.identity)
      else expect(identity, place).toMatchObject({ edge: 'made-anew', format: 1 })

      const found = new Map(facts)
      for (const name of found.keys()) expect(source.history.has(name), `${name}; ${place}`).toBe(true)
      for (const [name, values] of source.history) {
        const value = found.get(name)
        if (value === values.at(-1)) sums.whole++
        else {
          // an older one comes back where the newest is lost, or where a flipped sequence number makes it the newest
          const places = [source.files.get(name)!, ...(value === undefined ? [] : source.filesOf(value))]
          const isHarmed = places.some((file) => harmed.has(file))
          expect(isHarmed, `${name} is ${value}; ${place}`).toBe(true)
          if (value === undefined) sums.missing++
          else {
            expect(values, `${name}; ${place}`).toContain(value)
            sums.older++
          }
        }
      }
      sums.salvaged += recovery!.factsSalvaged
      sums.restored += recovery!.identityRestored
      sums.replaced += recovery!.identityReplaced

      const again = await child.start({ directory: path })
      expect(again, place).toMatchObject({ error: null, identity })
      const { factsDamaged: _, ...mended } = again!.recovery!
      expect(
        Object.values(mended).every((count) => count === 0),
        `mended again; ${place}`,
      ).toBe(true)
    }
    await child.kill()
    if (RUNS > 60) console.log(first, sums)
    expect(sums.salvaged).toBeGreaterThan(0)
    expect(sums.restored).toBeGreaterThan(0)
  })
})
