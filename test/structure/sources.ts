/** The project's own source files and what each of them imports. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const LEFT_OUT = new Set(['node_modules', 'dist', 'data', '.git', 'test'])

export interface Import {
  /** The importing file, from the project's folder. */
  readonly from: string
  /** The imported file, from the project's folder; a package's name where it is one. */
  readonly to: string
  readonly isPackage: boolean
  readonly isTypeOnly: boolean
}

/** All TypeScript files but the tests, from the project's folder. */
export function sourceFiles(): string[] {
  const files: string[] = []
  const visit = (directory: string): void => {
    for (const entry of readdirSync(join(ROOT, directory), { withFileTypes: true })) {
      const path = join(directory, entry.name)
      if (entry.isDirectory()) {
        if (!LEFT_OUT.has(path) && !entry.name.startsWith('.')) visit(path)
      } else if (/\.([cm]?ts|tsx)$/.test(entry.name)) files.push(path)
    }
  }
  visit('')
  return files.toSorted()
}

const STATEMENT = /^\s*(?:import|export)\b(?<clause>[^;'"`]*?)\bfrom\s*['"](?<named>[^'"]+)['"]/gm
const BARE = /^\s*import\s*['"](?<bare>[^'"]+)['"]/gm
/** `await import('x')` runs it; `import('x').T` is a type alone. */
const DYNAMIC = /(?<awaited>await\s+)?\bimport\(\s*['"](?<dynamic>[^'"]+)['"]/g

export function importsIn(file: string, text: string): Import[] {
  const found: Import[] = []
  const add = (specifier: string, isTypeOnly: boolean): void => {
    const isPackage = !specifier.startsWith('.')
    const to = isPackage ? specifier : normalize(join(dirname(file), specifier))
    found.push({ from: file, to, isPackage, isTypeOnly })
  }
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  for (const { groups } of code.matchAll(STATEMENT)) add(groups!.named!, isTypeClause(groups!.clause!))
  for (const { groups } of code.matchAll(BARE)) add(groups!.bare!, false)
  for (const { groups } of code.matchAll(DYNAMIC)) add(groups!.dynamic!, groups!.awaited === undefined)
  return found
}

/** `import type …`, or braces in which every name is a type: nothing of the file is loaded. */
function isTypeClause(clause: string): boolean {
  if (/^\s*type\b/.test(clause)) return true
  const braces = /^\s*\{([^}]*)\}\s*$/.exec(clause)
  if (braces === null) return false
  const names = braces[1]!.split(',').filter((name) => name.trim() !== '')
  return names.length > 0 && names.every((name) => /^\s*type\s/.test(name))
}

export function allImports(): Import[] {
  return sourceFiles().flatMap((file) => importsIn(file, readFileSync(join(ROOT, file), 'utf8')))
}
