/** Error codes are an interface: each is raised under one name, and an operator finds it in the documentation. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as errors from '../../sync/errors.ts'
import { ROOT, sourceFiles } from './sources.ts'

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
/** `errors.ts` of a folder, or `…-errors.ts`; one that only gathers others has no code of its own. */
const ERROR_FILES = sourceFiles().filter(
  (file) => /(^|[/-])errors\.ts$/.test(file) && /^export class/m.test(read(file)),
)
/** A class gives its code to its base class. */
const GIVEN = /super\(\s*'(HW_[A-Z0-9_]+)'/g

const ofClasses = ERROR_FILES.flatMap((file) => [...read(file).matchAll(GIVEN)].map(([, code]) => code!))

/** Every code that stands anywhere in the sources. */
const everywhere = new Set(
  sourceFiles().flatMap((file) => [...read(file).matchAll(/\bHW_[A-Z0-9_]+\b/g)].map(([code]) => code)),
)

function documentation(): string {
  const docs = existsSync(join(ROOT, 'docs')) ? readdirSync(join(ROOT, 'docs'), { recursive: true }) : []
  const files = docs.map((name) => join('docs', String(name))).filter((name) => name.endsWith('.md'))
  return ['README.md', ...files].map(read).join('\n')
}

describe('error codes', () => {
  it('are found', () => {
    expect(ofClasses.length).toBeGreaterThan(50)
    expect(ERROR_FILES.length).toBeGreaterThan(7)
  })

  it('are given by classes in the files of errors alone', () => {
    const given = sourceFiles().filter((file) => read(file).search(GIVEN) >= 0)
    expect(given).toEqual(ERROR_FILES)
  })

  it('of sync are all classes that its one door shows', () => {
    const classes = ERROR_FILES.filter((file) => file.startsWith('sync/')).flatMap((file) =>
      [...read(file).matchAll(/^export class (\w+)/gm)].map(([, name]) => name!),
    )
    expect(Object.keys(errors).toSorted()).toEqual(classes.toSorted())
  })

  it('belong to one class each', () => {
    expect(ofClasses.filter((code, i) => ofClasses.indexOf(code) !== i)).toEqual([])
  })

  it('are documented, in a table row of their own', () => {
    const text = documentation()
    const missing = [...everywhere].filter(
      (code) => !new RegExp(`^\\|\\s*\`?${code}\`?\\s*\\|`, 'm').test(text),
    )
    expect(missing.toSorted()).toEqual([])
  })

  it('that are documented exist', () => {
    const rows = [...documentation().matchAll(/^\|\s*`?(HW_[A-Z0-9_]+)`?\s*\|/gm)].map(([, code]) => code!)
    expect(rows.filter((code) => !everywhere.has(code))).toEqual([])
    expect(rows.filter((code, i) => rows.indexOf(code) !== i)).toEqual([])
  })

  it('are raised by classes whose name says that they are errors', () => {
    for (const file of ERROR_FILES) {
      const names = [...read(file).matchAll(/class (\w+) extends/g)].map(([, name]) => name!)
      expect(names.filter((name) => !name.endsWith('Error'))).toEqual([])
    }
  })
})
