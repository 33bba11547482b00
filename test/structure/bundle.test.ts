/** What the programs are shipped as: dist/cli.js, dist/bridge.js and dist/demo.js with dist/parts/. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importsIn, ROOT, sourceFiles } from './sources.ts'

const DIST = join(ROOT, 'dist')
const PROGRAMS = ['cli.js', 'bridge.js', 'demo.js']
const files = [...PROGRAMS, ...readdirSync(join(DIST, 'parts')).map((name) => `parts/${name}`)]
const text = (file: string) => readFileSync(join(DIST, file), 'utf8')

interface Loaded {
  readonly files: ReadonlySet<string>
  /** Packages, and what of Node is not built in. */
  readonly packages: ReadonlySet<string>
}

/** What is loaded with a file, before any of it runs. */
function loadedWith(...entries: string[]): Loaded {
  const found = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    if (found.has(file)) return
    found.add(file)
    for (const { named, isPackage } of statically(file)) {
      if (!isPackage) visit(named)
      else if (!named.startsWith('node:')) packages.add(named)
    }
  }
  for (const entry of entries) visit(entry)
  return { files: found, packages }
}

/** `import … from`, `import '…'` and `export … from` at a line's beginning, as the bundler writes them. */
function statically(file: string): { named: string; isPackage: boolean }[] {
  const specifiers = [...text(file).matchAll(/^(?:import|export)\b[^"]*?"([^"]+)";$/gm)].map(
    ([, name]) => name!,
  )
  return specifiers.map((name) => {
    const isPackage = !name.startsWith('.')
    return { named: isPackage ? name : normalize(join(dirname(file), name)), isPackage }
  })
}

/** The part that a source went into. */
const partOf = (source: string) => {
  const marker = new RegExp(`^// ${source.replaceAll('.', '\\.')}$`, 'm')
  return files.find((file) => marker.test(text(file)))!
}

describe('the bundled programs', () => {
  it('say from which source each line is, and have no source twice', () => {
    const named = files.flatMap((file) =>
      [...text(file).matchAll(/^\/\/ (\S+\.ts)$/gm)].map(([, name]) => name!),
    )
    const sources = new Set(sourceFiles())
    expect(named.length).toBeGreaterThan(400)
    expect(named.filter((name) => !sources.has(name))).toEqual([])
    // in two parts it would be there twice, with a state of its own each
    expect(named.filter((name, at) => named.indexOf(name) !== at)).toEqual([])
  })

  it('are ASCII: for one other character V8 keeps a whole part in two bytes each', () => {
    expect(files.filter((file) => Buffer.byteLength(text(file)) !== text(file).length)).toEqual([])
  })

  it('load no package that is for building or tests alone', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const packages = files.flatMap((file) =>
      importsIn(file, text(file)).filter(({ isPackage, to }) => isPackage && !to.startsWith('node:')),
    )
    const names = new Set(packages.map(({ to }) => /^(@[^/]+\/)?[^/]+/.exec(to)![0]))
    expect([...names].filter((name) => dependencies[name] === undefined)).toEqual([])
    expect(names.size).toBeGreaterThan(5)
  })

  it('load no package before they know what is asked of them', () => {
    for (const program of ['cli.js', 'bridge.js']) expect([...loadedWith(program).packages]).toEqual([])
  })

  it('start a broker without what reads command line and configuration, and without an upstream’s client', () => {
    const start = ['operations/commands/start.ts', 'broker.ts'].map((name) => partOf(`broker/${name}`))
    const { packages } = loadedWith('cli.js', ...start, partOf('sync/create.ts'))
    expect([...packages].toSorted()).toEqual(['cbor-x/encode', 'level'])
  })

  it('start a bridge without them, too', () => {
    const { packages } = loadedWith('bridge.js', partOf('firmware-bridge/commands/start.ts'))
    expect([...packages].toSorted()).toEqual(['level'])
  })
})

it('no source looks for files beside itself: in the bundle they lie elsewhere (broker/own-files.ts)', () => {
  const isAllowed = (file: string) =>
    file.endsWith('rolldown.config.ts') || file === 'broker/own-files.ts' || file.startsWith('deploy/')
  const found = sourceFiles().filter((file) => {
    const code = readFileSync(join(ROOT, file), 'utf8').replaceAll('createRequire(import.meta.url)', '')
    return !isAllowed(file) && code.includes('import.meta')
  })
  expect(found).toEqual([])
})
