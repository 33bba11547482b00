/** Error codes are an interface: each is raised under one name, and an operator finds it in the documentation. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT, sourceFiles } from './sources.ts'

const ERROR_FILES = ['broker/errors.ts', 'broker/operations/errors.ts', 'sync/errors.ts']
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

/** Codes that classes give to their base class. */
const ofClasses = ERROR_FILES.flatMap((file) =>
  [...read(file).matchAll(/super\(\s*'(HW_[A-Z0-9_]+)'/g)].map(([, code]) => code!),
)

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
    expect(ofClasses.length).toBeGreaterThan(25)
    for (const file of ERROR_FILES) expect(read(file)).toMatch(/'HW_/)
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
