/** What the broker runs in: Node, its native parts, the kernel's page size, how many files it may have open. */
import { count } from '../terminal/units.ts'
import { type Finding, fault, none, ok, warning } from './finding.ts'
import type { Machine } from './machine.ts'

/** As package.json's `engines` says. */
const NODE_MIN = [20, 19] as const
/** For the log, its tables, upstreams and pipes. */
const OWN_FILES = 256
const PAGE_BYTES_USUAL = 4096
const PAGE_BYTES_KNOWN_MAX = 16_384

export function examineNode({ nodeVersion, nodeArchitecture, kernelArchitecture }: Machine): Finding {
  const item = 'node'
  const what = `Node.js ${nodeVersion} for ${nodeArchitecture}, on a kernel for ${kernelArchitecture}`
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number)
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    return fault(item, `${what}: too old`, `install Node.js ${NODE_MIN.join('.')} or newer`)
  }
  if (nodeArchitecture === 'arm' && kernelArchitecture === 'aarch64') {
    return ok(item, `${what}: 32 bits where 64 are possible, which works and is slower`)
  }
  return ok(item, what)
}

/** A native module, and what became of loading it. */
export interface NativeModule {
  readonly name: string
  /** null: it loaded. */
  readonly error: string | null
  /** The broker runs without it, only slower. */
  readonly isOptional: boolean
}

/** @param modules that this process has tried to load: where they came from stands in its memory map */
export async function examineNativeModules(
  machine: Machine,
  modules: readonly NativeModule[],
): Promise<Finding[]> {
  const item = 'native modules'
  const failed = modules.filter(({ error }) => error !== null)
  if (failed.length > 0) {
    return failed.map(({ name, error, isOptional }) => {
      const what = `${name} does not load: ${error}`
      const todo =
        'install the package for this architecture anew (npm ci on this machine, or the .deb of it)'
      return isOptional
        ? warning(item, `${what}; what takes its place is slower`, todo)
        : fault(item, what, todo)
    })
  }
  const maps = (await machine.readText('/proc/self/maps')) ?? ''
  const files = [...new Set(maps.match(/\/\S+\.node$/gm) ?? [])]
  const built = files.filter((file) => /\/build\/(Release|Debug)\//.test(file))
  const names = modules.map(({ name }) => name).join(', ')
  if (built.length > 0) return [ok(item, `${names}: loaded; compiled on this machine: ${built.join(', ')}`)]
  return [ok(item, files.length > 0 ? `${names}: prebuilt, loaded` : `${names}: loaded`)]
}

export async function examinePageSize(machine: Machine): Promise<Finding> {
  const item = 'page size'
  const smaps = (await machine.readText('/proc/self/smaps')) ?? ''
  const kilobytes = /^KernelPageSize: *([0-9]+) kB/m.exec(smaps)?.[1]
  if (kilobytes === undefined) return none(item, 'it cannot be seen from here')
  const bytes = Number(kilobytes) * 1024
  if (bytes > PAGE_BYTES_KNOWN_MAX) {
    return warning(
      item,
      `${kilobytes} KiB: the broker was never tried with it`,
      'use a kernel with pages of 4 or 16 KiB',
    )
  }
  return ok(item, bytes === PAGE_BYTES_USUAL ? '4 KiB' : `${kilobytes} KiB: it takes a little more memory`)
}

/** proc(5): `Max open files  SOFT  HARD  files`. @param pid of the running broker, or self: Node raises the soft limit to the hard one */
export async function examineOpenFiles(
  machine: Machine,
  pid: number | 'self',
  connectionsMax: number,
): Promise<Finding> {
  const item = 'open files'
  const limits = (await machine.readText(`/proc/${pid}/limits`)) ?? ''
  const soft = /^Max open files +(\S+)/m.exec(limits)?.[1]
  if (soft === undefined) return none(item, 'the limit cannot be seen from here')
  if (soft === 'unlimited') return ok(item, 'no limit')
  const needed = connectionsMax + OWN_FILES
  const what = `${count(Number(soft))}, for limits.connectionsMax of ${count(connectionsMax)}`
  if (Number(soft) >= needed) return ok(item, what)
  const todo = `LimitNOFILE=${needed} in its unit (ulimit -n), or lower limits.connectionsMax`
  return warning(item, `${what}: clients will be refused before that`, todo)
}
