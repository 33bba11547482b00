/** A process that appends is killed with SIGKILL, again and again, on the real disk. `npm test` compiles the process's script. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { DataDirectoryLockedError } from '../../../broker/errors.ts'
import { openDataDirectory } from '../../../broker/storage/data-directory.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { openLog, readAll, temporaryDirectory } from './support.ts'

const CHILD = fileURLToPath(new URL('../../../dist/test/support/append-child.js', import.meta.url))
const LIVES = 5

/** Runs the child until it has acknowledged so many records, then kills it. @returns all that it acknowledged. */
async function live(path: string, name: string, acknowledgements: number, meanwhile: () => Promise<void>) {
  const child: ChildProcess = spawn(process.execPath, [CHILD, path, name, '60000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged: string[] = []
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('exit', (_, signal) => resolve(signal)),
  )
  const lines = createInterface({ input: child.stdout! })
  for await (const line of lines) {
    acknowledged.push(line)
    if (acknowledged.length === 1) await meanwhile()
    if (acknowledged.length === acknowledgements) child.kill('SIGKILL')
  }
  expect(await ended).toBe('SIGKILL')
  return acknowledged
}

it('a log whose process is killed holds every acknowledged record once, in order, and needs no person to start', async () => {
  if (!existsSync(CHILD)) throw new Error('run `npm run build` first: the process that is killed is compiled')
  const seed = testSeed()
  const random = seededRandom(seed)
  console.log(`kill: HEADWATER_TEST_SEED=${seed}`)
  const path = temporaryDirectory()
  const acknowledged: string[] = []
  for (let n = 0; n < LIVES; n++) {
    const found = await live(path, `life${n}`, random.between(1, 800), async () => {
      const second = openDataDirectory(nodeDisk, path, { name: 'edge-1', isExplicit: true })
      await expect(second).rejects.toBeInstanceOf(DataDirectoryLockedError)
    })
    acknowledged.push(...found)
    tearTail(join(path, 'log', 'main'))
  }

  const data = await openDataDirectory(nodeDisk, path, { name: 'edge-1', isExplicit: true })
  const log = await openLog(nodeDisk, { path })
  const values: string[] = []
  for (const partition of [0, 1]) {
    const records = await readAll(log, partition, { bytesMax: 1e6 })
    expect(
      records.map((record) => Number.parseInt(record, 10)),
      `seed ${seed}`,
    ).toEqual(records.map((_, i) => i))
    values.push(...records.map((record) => record.slice(record.indexOf(':') + 1).trim()))
    const own = records.map((record) => /life(\d+)\.(\d+)/.exec(record)!.slice(1).map(Number))
    const sorted = own.toSorted((a, b) => a[0]! - b[0]! || a[1]! - b[1]!)
    expect(own, `seed ${seed}: in order`).toEqual(sorted)
  }
  const found = new Set(values)
  expect(found.size, `seed ${seed}: none twice`).toBe(values.length)
  expect(
    acknowledged.filter((value) => !found.has(value)),
    `seed ${seed}: acknowledged and lost`,
  ).toEqual([])
  expect((await log.verify()).problems).toEqual([])
  expect(log.status().recovery).toMatchObject({ tornTails: 1, faults: 0 })
  await log.close()
  await data.facts.close()
})

/** A part of a record at the end of the active segment's write-ahead file, as a cut within a write leaves it. */
function tearTail(chain: string): void {
  const { segments } = JSON.parse(readFileSync(join(chain, 'manifest.json'), 'utf8'))
  const active = join(chain, segments.at(-1).id)
  const wal = readdirSync(active).find((name) => name.endsWith('.log'))!
  const bytes = readFileSync(join(active, wal))
  appendFileSync(join(active, wal), bytes.subarray(0, Math.min(50, bytes.length)))
}
