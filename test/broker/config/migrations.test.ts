/** Versions of a configuration, with migrations that stand for real ones. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isMap, parseDocument } from 'yaml'
import {
  type MigrationSteps,
  migratedText,
  migrateFile,
  nodeSteps,
} from '../../../broker/config/migrate-file.ts'
import {
  CONFIG_VERSION,
  MIGRATIONS,
  type Migration,
  migrateDocument,
  newestVersion,
} from '../../../broker/config/migrations.ts'
import { load, loaded, problems } from './support.ts'

/** A key of another name, with its comment. */
const renamed: Migration = {
  to: 2,
  summary: 'limits.maxRecord is limits.recordBytesMax: limits in bytes end alike',
  migrate(document) {
    const limits = document.get('limits')
    if (!isMap(limits)) return
    const pair = limits.items.find(({ key }) => String(key) === 'maxRecord')
    if (pair !== undefined) Object.assign(pair.key as object, { value: 'recordBytesMax' })
  },
}
/** A key in another place. */
const moved: Migration = {
  to: 3,
  summary: 'listeners are in mqtt, where what belongs to them is',
  migrate(document) {
    if (!document.has('listeners')) return
    document.setIn(['mqtt', 'listeners'], document.get('listeners', true))
    document.delete('listeners')
  },
}
const BOTH = [renamed, moved]

const OLD = `# our gateway

edge: line-7 # as on its label
limits:
  # as large as a picture
  maxRecord: 5000
listeners:
  - address: 127.0.0.1:1884 # the other one is taken
`
const NEW = `# our gateway

configVersion: 3
edge: line-7 # as on its label
limits:
  # as large as a picture
  recordBytesMax: 5000
mqtt:
  listeners:
    - address: 127.0.0.1:1884 # the other one is taken
`

test('the migrations that exist are numbered without a gap, and new files have the newest version', () => {
  expect(MIGRATIONS.map(({ to }) => to)).toEqual(MIGRATIONS.map((_, index) => index + 2))
  expect(CONFIG_VERSION).toBe(newestVersion(MIGRATIONS))
})

test('a migration keeps comments and order, and says the version', () => {
  expect(migratedText(OLD, BOTH)).toEqual({ from: 1, text: NEW, done: BOTH })
  const one = migratedText(OLD, [renamed])
  expect(one.text).toContain('configVersion: 2\n')
  expect(migratedText(one.text, BOTH)).toMatchObject({ from: 2, text: NEW, done: [moved] })
})

test('a migrated file is left alone, and each migration changes nothing of its own result', () => {
  expect(migratedText(NEW, BOTH)).toEqual({ from: 3, text: NEW, done: [] })
  const document = parseDocument(OLD)
  migrateDocument(document, BOTH)
  for (const { migrate } of BOTH) migrate(document)
  expect(document.toString()).toBe(NEW)
})

test('an older file counts as if it were migrated; one line says so, and problems name its own lines', () => {
  const { config, warnings, version, source } = loaded(OLD, { migrations: BOTH })
  expect(config.limits.recordBytesMax).toBe(5000)
  expect(config.mqtt.listeners).toEqual([{ address: '127.0.0.1:1884' }])
  expect(version).toBe(1)
  expect(warnings).toEqual([
    expect.stringMatching(
      /edge\.yaml: it is written for version 1 of the configuration and read as version 3 - `headwater config migrate` writes it anew, with a backup$/,
    ),
  ])
  expect(source(['limits', 'recordBytesMax'])).toMatch(/:6:14$/)
  const broken = OLD.replace('5000', 'much').replace('127.0.0.1:1884', 'nowhere')
  expect(problems(broken, { migrations: BOTH })).toEqual([
    '6:14: limits.recordBytesMax is "much" - it is a whole number from 256 to 67108864',
  ])
})

test('a newer file is refused in one line, whatever else is in it', () => {
  const text = 'configVersion: 9\nunheardOf: true\nedge: [\n]\n'
  const [line, ...others] = problems(text, { migrations: BOTH })
  expect(others).toEqual([])
  expect(line).toMatch(
    /^1:16: the file has configVersion 9, this headwater reads up to 3 - use the version that wrote it, or the file's backup of before: .*edge\.yaml\.backup-\*$/,
  )
})

test.each(['soon', '0', '1.5', '[1]'])('configVersion: %s is no version', (value) => {
  expect(problems(`configVersion: ${value}\n`)).toEqual([
    expect.stringMatching(/^1:16: configVersion is .* - it is a whole number of at least 1$/),
  ])
})

test('no variable of the environment is the version of a file', () => {
  const result = load('edge: a\n', { env: { HEADWATER_CONFIG_VERSION: '9' } })
  expect(result).toMatchObject({ ok: true, warnings: [expect.stringContaining('means nothing here')] })
})

// -- the file ---------------------------------------------------------------------------------------------------------

let directory: string
let file: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-migrate-'))
  file = join(directory, 'headwater.yaml')
  writeFileSync(file, OLD, { mode: 0o640 })
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const NOW = Date.UTC(2026, 2, 1, 12, 0, 5)
const options = { migrations: BOTH, now: NOW }
const text = (path: string) => readFileSync(path, 'utf8')

test('the file is written anew, with a backup of its bytes, mode and all', async () => {
  const done = await migrateFile(file, options)
  expect(done).toMatchObject({ file, from: 1, to: 3, backup: `${file}.backup-1-20260301T120005Z` })
  expect(done.done.map(({ to }) => to)).toEqual([2, 3])
  expect(text(file)).toBe(NEW)
  expect(text(done.backup!)).toBe(OLD)
  for (const path of [file, done.backup!]) expect(statSync(path).mode & 0o777).toBe(0o640)
  expect(await migrateFile(file, options)).toMatchObject({ from: 3, done: [], backup: null })
  expect(readdirSync(directory)).toHaveLength(2)
})

test('a trial writes nothing', async () => {
  expect(await migrateFile(file, { ...options, isTrial: true })).toMatchObject({
    backup: null,
    done: [{}, {}],
  })
  expect(text(file)).toBe(OLD)
  expect(readdirSync(directory)).toEqual(['headwater.yaml'])
})

test('of a symbolic link the file that it names is written', async () => {
  const link = join(directory, 'link.yaml')
  symlinkSync(file, link)
  const done = await migrateFile(link, options)
  expect(done.file).toBe(file)
  expect(text(link)).toBe(NEW)
})

test('another backup of the same second stays', async () => {
  writeFileSync(`${file}.backup-1-20260301T120005Z`, 'edge: older\n')
  const done = await migrateFile(file, options)
  expect(done.backup).toBe(`${file}.backup-1-20260301T120005Z-2`)
  expect(text(`${file}.backup-1-20260301T120005Z`)).toBe('edge: older\n')
})

class Cut extends Error {}

/** Ends at the nth step, before or after it has had its effect. */
function cutAt(nth: number, isDone: boolean): { steps: MigrationSteps; count: () => number } {
  let count = 0
  const wrap =
    <A extends unknown[]>(step: (...args: A) => Promise<void>) =>
    async (...args: A) => {
      count++
      if (count > nth) throw new Cut()
      if (count === nth && !isDone) throw new Cut()
      await step(...args)
      if (count === nth) throw new Cut()
    }
  const steps = {
    write: wrap(nodeSteps.write),
    rename: wrap(nodeSteps.rename),
    syncDirectory: wrap(nodeSteps.syncDirectory),
  }
  return { steps, count: () => count }
}

test('cut off anywhere, the file is the old one or the new one, with a backup before it is the new one', async () => {
  const whole = cutAt(Number.POSITIVE_INFINITY, false)
  await migrateFile(file, { ...options, steps: whole.steps })
  expect(whole.count()).toBe(6)
  for (let nth = 1; nth <= 6; nth++) {
    for (const isDone of [false, true]) {
      for (const name of readdirSync(directory)) rmSync(join(directory, name))
      writeFileSync(file, OLD)
      await expect(migrateFile(file, { ...options, steps: cutAt(nth, isDone).steps })).rejects.toThrow(Cut)
      const backups = () => readdirSync(directory).filter((name) => name.includes('.backup-'))
      const where = `step ${nth}, ${isDone ? 'done' : 'not done'}`
      expect([OLD, NEW], where).toContain(text(file))
      if (text(file) === NEW) expect(backups(), where).toHaveLength(1)
      // once more, later
      await migrateFile(file, { ...options, now: NOW + 60_000 })
      expect(text(file), where).toBe(NEW)
      expect(backups(), where).toHaveLength(1)
      expect(text(join(directory, backups()[0]!)), where).toBe(OLD)
      expect(readdirSync(directory), where).toHaveLength(2)
    }
  }
})
