/**
 * Imports run one way. Type-only imports count as well: a type that a lower part takes from a higher one is knowledge of it all the
 * same, and the day it becomes a value nobody looks.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { allImports, type Import, importsIn, ROOT, sourceFiles } from './sources.ts'

const imports = allImports()
const own = imports.filter(({ isPackage }) => !isPackage)
const lines = (found: readonly Import[]) => found.map(({ from, to }) => `${from} imports ${to}`)

/** `broker`, `sync`, `firmware-bridge`, or the file itself where it stands at the top. */
const moduleOf = (path: string) => path.split('/')[0]!

/** Files at the top of broker/ that all may use and that use nothing but each other. */
const LEAVES = [
  'assert.ts',
  'certificate-dates.ts',
  'cron.ts',
  'timers.ts',
  'errors.ts',
  'exposition.ts',
  'log-sink.ts',
  'limited-log.ts',
  'version.ts',
  'own-files.ts',
  'service-manager.ts',
  'watchdog.ts',
]
/** A program each: they put the modules together. */
const ROOTS = ['cli.ts', 'bridge.ts']
/** A root's own folder is part of it. */
const isRoot = (path: string) => ROOTS.includes(path) || ROOTS.includes(`${moduleOf(path)}.ts`)
/** What puts the broker together; only the command line and sync's one door are above them. */
const ASSEMBLY = ['broker.ts', 'configured.ts', 'open-log.ts', 'index.ts']

/** A part of the broker: a folder, `leaves` or `assembly`. */
function partOf(path: string): string {
  const [, second] = path.split('/')
  if (LEAVES.includes(second!)) return 'leaves'
  if (ASSEMBLY.includes(second!)) return 'assembly'
  return second!
}

/** What each part of the broker may import besides itself. */
const MAY_IMPORT: Record<string, string[]> = {
  leaves: [],
  // the configuration's types are known to those that are configured; it knows only how to say what is wrong
  config: ['leaves'],
  storage: ['leaves'],
  clock: ['leaves'],
  log: ['storage', 'clock', 'leaves'],
  tables: ['log', 'storage', 'leaves'],
  consumers: ['log', 'storage', 'config', 'leaves'],
  mqtt: ['log', 'storage', 'config', 'leaves'],
  // the page: it knows the API by its types
  dashboard: ['operations'],
  operations: ['mqtt', 'consumers', 'tables', 'log', 'storage', 'clock', 'config', 'leaves'],
  assembly: ['operations', 'mqtt', 'consumers', 'tables', 'log', 'storage', 'clock', 'config', 'leaves'],
}

describe('the parser of imports', () => {
  it('finds every form', () => {
    const text = `
      import a from './a.ts'
      import type { B } from '../b.ts'
      import { type C, type D } from './c.ts'
      import { type C, d } from './d.ts'
      import './e.ts'
      export * from './f.ts'
      export { type G } from './g.ts'
      import {
        h,
        i,
      } from "./h.ts"
      type J = import('./j.ts').J
      const k = await import('./k.ts')
      // import x from './no.ts'
      /* import x from './no.ts' */
      import l from 'package'`
    expect(
      importsIn('x/y.ts', text).map(({ to, isTypeOnly }) => `${to}${isTypeOnly ? ' type' : ''}`),
    ).toEqual([
      'x/a.ts',
      'b.ts type',
      'x/c.ts type',
      'x/d.ts',
      'x/f.ts',
      'x/g.ts type',
      'x/h.ts',
      'package',
      'x/e.ts',
      'x/j.ts type',
      'x/k.ts',
    ])
  })

  it('finds every imported file among the files there are', () => {
    const files = new Set(sourceFiles())
    expect(
      lines(own.filter(({ to }) => /\.tsx?$/.test(to) && !to.startsWith('test/') && !files.has(to))),
    ).toEqual([])
    expect(own.length).toBeGreaterThan(100)
  })
})

describe('the three modules', () => {
  it('firmware-bridge imports of its siblings only the leaves, the reader of configurations and, for its commands, the look of a terminal', () => {
    const isShared = (to: string) => partOf(to) === 'leaves' || partOf(to) === 'config'
    const isLook = (from: string, to: string) =>
      from.startsWith('firmware-bridge/commands/') && to.startsWith('broker/operations/terminal/')
    const found = own.filter(({ from, to }) => {
      if (moduleOf(from) !== 'firmware-bridge' || moduleOf(to) === 'firmware-bridge') return false
      return !(moduleOf(to) === 'broker' && (isShared(to) || isLook(from, to)))
    })
    expect(lines(found)).toEqual([])
  })

  it('broker imports neither sibling', () => {
    const found = own.filter(({ from, to }) => moduleOf(from) === 'broker' && moduleOf(to) !== 'broker')
    expect(lines(found)).toEqual([])
  })

  it('sync imports nothing of broker but its index, and nothing of firmware-bridge', () => {
    const found = own.filter(({ from, to }) => {
      return moduleOf(from) === 'sync' && moduleOf(to) !== 'sync' && to !== 'broker/index.ts'
    })
    expect(lines(found)).toEqual([])
  })

  it('only the composition roots, outside of them, import any of them', () => {
    const modules = ['broker', 'sync', 'firmware-bridge']
    const found = own.filter(({ from, to }) => {
      return !modules.includes(moduleOf(from)) && !isRoot(from) && modules.includes(moduleOf(to))
    })
    expect(lines(found)).toEqual([])
  })

  it('nothing imports a composition root, and nothing imports the tests', () => {
    const isOwn = (from: string, to: string) =>
      !ROOTS.includes(to) && (from === `${moduleOf(to)}.ts` || moduleOf(from) === moduleOf(to))
    const found = own.filter(({ from, to }) => isRoot(to) && !isOwn(from, to))
    expect(lines([...found, ...own.filter(({ to }) => moduleOf(to) === 'test')])).toEqual([])
  })

  it('no file goes around by the package’s own name', () => {
    expect(lines(imports.filter(({ to }) => to === 'headwater' || to.startsWith('headwater/')))).toEqual([])
  })
})

describe('the broker', () => {
  it('has only parts whose place in the order is known', () => {
    const parts = new Set(
      sourceFiles()
        .filter((file) => moduleOf(file) === 'broker')
        .map(partOf),
    )
    expect([...parts].filter((part) => MAY_IMPORT[part] === undefined)).toEqual([])
  })

  it.each(Object.entries(MAY_IMPORT))('%s imports nothing above it', (part, allowed) => {
    const found = own.filter(({ from, to }) => {
      if (moduleOf(from) !== 'broker' || partOf(from) !== part) return false
      return partOf(to) !== part && !allowed.includes(partOf(to))
    })
    expect(lines(found)).toEqual([])
  })

  it('shares with its page nothing but types and the way numbers look: the page runs elsewhere', () => {
    const ofPage = (path: string) => path.startsWith('broker/dashboard/')
    const found = own.filter(({ from, to, isTypeOnly }) => {
      return ofPage(from) && !ofPage(to) && !isTypeOnly && to !== 'broker/operations/terminal/units.ts'
    })
    expect(lines(found)).toEqual([])
    const packages = imports.filter(
      ({ from, to, isPackage }) => ofPage(from) && isPackage && !to.startsWith('node:'),
    )
    expect(new Set(packages.map(({ to }) => to))).toEqual(
      new Set(['preact', 'preact/hooks', 'rolldown', 'uplot']),
    )
    expect(own.filter(({ from, to }) => ofPage(to) && !ofPage(from))).toEqual([])
  })

  it('keeps LevelDB in one file and aedes in another', () => {
    const users = (name: string) => imports.filter(({ to }) => to === name).map(({ from }) => from)
    const ofBroker = [...users('level'), ...users('classic-level')].filter(
      (from) => moduleOf(from) === 'broker',
    )
    expect(ofBroker).toEqual(['broker/storage/level-store.ts'])
    // aedes by a `require` of its own
    const naming = sourceFiles().filter((file) =>
      /['"]aedes['"]/.test(readFileSync(join(ROOT, file), 'utf8')),
    )
    expect(naming).toEqual(['broker/mqtt/hub/filters.ts'])
  })
})

/** What each part of the firmware bridge may import besides itself. */
const BRIDGE_MAY_IMPORT: Record<string, string[]> = {
  leaves: [],
  framing: ['leaves'],
  packets: ['leaves'],
  bodies: ['leaves'],
  uplink: ['leaves'],
  links: ['framing', 'leaves'],
  outlet: ['uplink', 'leaves'],
  lines: ['links', 'framing', 'outlet', 'leaves'],
  modbus: ['links', 'framing', 'outlet', 'leaves'],
  gateway: ['packets', 'links', 'uplink', 'bodies', 'leaves'],
  config: ['gateway', 'bodies', 'modbus', 'lines', 'links', 'outlet', 'uplink', 'leaves'],
  status: ['gateway', 'links', 'uplink', 'leaves'],
  assembly: [
    'config',
    'status',
    'gateway',
    'bodies',
    'modbus',
    'lines',
    'links',
    'outlet',
    'uplink',
    'leaves',
  ],
  commands: ['assembly', 'config', 'status', 'gateway', 'links', 'leaves'],
}

function bridgePartOf(path: string): string {
  const [, second] = path.split('/')
  if (['errors.ts', 'clock.ts', 'backoff.ts', 'names.ts', 'few-entries.ts'].includes(second!)) return 'leaves'
  // a type of whoever says what is wrong with its own entry
  if (path === 'firmware-bridge/config/entry-fault.ts') return 'leaves'
  return ['bridge.ts', 'index.ts'].includes(second!) ? 'assembly' : second!
}

describe('the firmware bridge', () => {
  const inside = own.filter(({ from, to }) =>
    [from, to].every((path) => moduleOf(path) === 'firmware-bridge'),
  )

  it('has only parts whose place in the order is known', () => {
    const files = sourceFiles().filter((file) => moduleOf(file) === 'firmware-bridge')
    expect(files.map(bridgePartOf).filter((part) => BRIDGE_MAY_IMPORT[part] === undefined)).toEqual([])
    expect(inside.length).toBeGreaterThan(100)
  })

  it.each(Object.entries(BRIDGE_MAY_IMPORT))('%s imports nothing above it', (part, allowed) => {
    const found = inside.filter(({ from, to }) => {
      return bridgePartOf(from) === part && bridgePartOf(to) !== part && !allowed.includes(bridgePartOf(to))
    })
    expect(lines(found)).toEqual([])
  })

  it('keeps LevelDB and mqtt.js in one file each', () => {
    const users = (...names: string[]) =>
      imports
        .filter(
          ({ from, to, isTypeOnly }) =>
            moduleOf(from) === 'firmware-bridge' && names.includes(to) && !isTypeOnly,
        )
        .map(({ from }) => from)
    expect(users('level')).toEqual(['firmware-bridge/uplink/level-window-db.ts'])
    expect(users('mqtt', 'mqtt/lib/client')).toEqual([])
  })
})

it('no file loads itself through others', () => {
  const graph = new Map<string, string[]>()
  for (const { from, to, isTypeOnly } of own) {
    // a circle of types is not loaded: it costs nothing and can be the plain way to say who owns whom
    if (!isTypeOnly) graph.set(from, [...(graph.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) circles.push([...path.slice(at), file].join(' -> '))
    if (at >= 0 || done.has(file)) return
    for (const next of graph.get(file) ?? []) visit(next, [...path, file])
    done.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  expect(circles).toEqual([])
})
