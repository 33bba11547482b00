/** A machine made of texts: a /proc, a /sys and whatever else a test needs. */
import type { FileFacts, Machine } from '../../../../broker/operations/doctor/machine.ts'

export interface Tree {
  /** Text by path. */
  readonly files?: Readonly<Record<string, string>>
  /** Symbolic links: where each leads. */
  readonly links?: Readonly<Record<string, string>>
  readonly facts?: Readonly<Record<string, Partial<FileFacts>>>
  readonly space?: { readonly freeBytes: number; readonly totalBytes: number }
  readonly machine?: Partial<Machine>
}

const PLAIN: FileFacts = { mode: 0o600, uid: 1000, gid: 1000, isDirectory: false }

export function fakeMachine({ files = {}, links = {}, facts = {}, space, machine = {} }: Tree = {}): Machine {
  const paths = [...Object.keys(files), ...Object.keys(links), ...Object.keys(facts)]
  return {
    readText: async (path) => files[path] ?? null,
    async list(path) {
      const below = paths.filter((each) => each.startsWith(`${path}/`))
      return [...new Set(below.map((each) => each.slice(path.length + 1).split('/')[0]!))]
    },
    linkTarget: async (path) => links[path] ?? null,
    realPath: async (path) => links[path] ?? (path.startsWith('/sys/') ? null : path),
    facts: async (path) => (facts[path] === undefined ? null : { ...PLAIN, ...facts[path] }),
    space: async () => space ?? null,
    uid: 1000,
    nodeVersion: '20.19.0',
    nodeArchitecture: 'arm64',
    kernelArchitecture: 'aarch64',
    ...machine,
  }
}

/** A Pi whose root is on a card: as its kernel shows it. */
export const CARD_TREE: Tree = {
  files: {
    '/proc/self/mountinfo': '21 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n',
    '/sys/block/mmcblk0/queue/rotational': '0\n',
  },
  links: {
    '/sys/dev/block/179:2':
      '/sys/devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0/mmcblk0p2',
  },
}

export function withFiles(tree: Tree, files: Readonly<Record<string, string>>): Tree {
  return { ...tree, files: { ...tree.files, ...files } }
}
