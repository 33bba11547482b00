/** The program's own files are found from every place that the build puts the module into. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { OWN_FILES } from '../../broker/own-files.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PARTS = join(ROOT, 'dist/parts')

it('all of them are there once the build has run', () => {
  const missing = Object.values(OWN_FILES).filter((path) => !existsSync(path))
  expect(missing).toEqual([])
  expect(OWN_FILES.broker).toBe(join(ROOT, 'dist/cli.js'))
})

it('the compiled module, one folder further down, finds the same', async () => {
  const compiled = await import(pathToFileURL(join(ROOT, 'dist/broker/own-files.js')).href)
  expect(compiled.OWN_FILES).toEqual(OWN_FILES)
})

it('so does the part of the bundle that has it', async () => {
  const isIts = (name: string) => readFileSync(join(PARTS, name), 'utf8').includes('// broker/own-files.ts')
  const part = readdirSync(PARTS).find(isIts)!
  // a part's exports have short names
  const exported = Object.values(await import(pathToFileURL(join(PARTS, part)).href))
  expect(exported).toContainEqual(OWN_FILES)
})
