/**
 * On which kind of file system a directory lies, and whether an fsync there means what an acknowledgement needs. Nothing is refused:
 * the person is told, with a way out.
 *
 * | kind      | file systems                                        | what can be taken                                            |
 * |-----------|-----------------------------------------------------|--------------------------------------------------------------|
 * | reliable  | ext2 to 4, xfs, btrfs, f2fs, zfs, bcachefs, ...     | nothing that was acknowledged, unless barriers are off       |
 * | volatile  | tmpfs, ramfs, overlay mounted with `volatile`       | everything, when the power goes                              |
 * | network   | nfs, cifs, 9p, FUSE, virtiofs, ...                  | what its server acknowledges and does not keep               |
 * | fragile   | vfat, exfat, ntfs, hfs                              | the file system as a whole: a cut can damage it              |
 * | overlay   | overlay whose upper layer cannot be seen from here  | as the upper layer; a container's own goes with the container |
 * | read-only | squashfs, iso9660, erofs, any mounted read-only     | nothing; nothing can be written                              |
 * | unknown   | all others                                          | unknown                                                      |
 *
 * The mount table (`/proc/self/mountinfo`) knows names and options; where it cannot be read, statfs knows a number.
 */
import { readFile, realpath, statfs } from 'node:fs/promises'

export type FileSystemKind =
  | 'reliable'
  | 'volatile'
  | 'network'
  | 'fragile'
  | 'overlay'
  | 'read-only'
  | 'unknown'

export interface FileSystem {
  readonly kind: FileSystemKind
  /** As the mount table names it, `ext4`; else statfs' number, `0xef53`. */
  readonly type: string
  /** null where the mount table does not tell. */
  readonly mountPoint: string | null
  /** What is to be feared, and the way out; null where there is nothing. */
  readonly warning: string | null
}

/** What is asked of the system. */
export interface FileSystemProbe {
  /** With no symbolic links in it. @throws where the path does not exist */
  realPath(path: string): Promise<string>
  /** @returns the number of the file system's type */
  statfsType(path: string): Promise<number>
  /** @returns the text of /proc/self/mountinfo; empty where there is none */
  mountInfo(): Promise<string>
}

export const systemProbe: FileSystemProbe = {
  realPath: (path) => realpath(path),
  // some of the numbers have their highest bit set, which a 32-bit system sees as a sign
  statfsType: async (path) => (await statfs(path)).type >>> 0,
  mountInfo: () => readFile('/proc/self/mountinfo', 'utf8').catch(() => ''),
}

/** statfs(2) has the numbers. */
const KNOWN: readonly { kind: FileSystemKind; names: readonly string[]; magic: readonly number[] }[] = [
  { kind: 'reliable', names: ['ext4', 'ext3', 'ext2'], magic: [0xef53] },
  { kind: 'reliable', names: ['xfs'], magic: [0x58465342] },
  { kind: 'reliable', names: ['btrfs'], magic: [0x9123683e] },
  { kind: 'reliable', names: ['f2fs'], magic: [0xf2f52010] },
  { kind: 'reliable', names: ['zfs'], magic: [0x2fc12fc1] },
  { kind: 'reliable', names: ['bcachefs'], magic: [0xca451a4e] },
  { kind: 'reliable', names: ['jfs'], magic: [0x3153464a] },
  { kind: 'reliable', names: ['nilfs2'], magic: [0x3434] },
  { kind: 'reliable', names: ['ubifs'], magic: [0x24051905] },
  { kind: 'reliable', names: ['jffs2'], magic: [0x72b6] },
  { kind: 'volatile', names: ['tmpfs'], magic: [0x01021994] },
  { kind: 'volatile', names: ['ramfs'], magic: [0x858458f6] },
  { kind: 'network', names: ['nfs', 'nfs4'], magic: [0x6969] },
  { kind: 'network', names: ['cifs', 'smb3', 'smbfs'], magic: [0xff534d42, 0xfe534d42, 0x517b] },
  { kind: 'network', names: ['9p'], magic: [0x01021997] },
  { kind: 'network', names: ['ceph'], magic: [0x00c36400] },
  { kind: 'network', names: ['fuse', 'fuseblk', 'virtiofs'], magic: [0x65735546] },
  { kind: 'network', names: ['vboxsf'], magic: [0x786f4256] },
  { kind: 'fragile', names: ['vfat', 'msdos'], magic: [0x4d44] },
  { kind: 'fragile', names: ['exfat'], magic: [0x2011bab0] },
  { kind: 'fragile', names: ['ntfs', 'ntfs3'], magic: [0x5346544e, 0x7366746e] },
  { kind: 'fragile', names: ['hfs', 'hfsplus'], magic: [0x4244, 0x482b] },
  { kind: 'overlay', names: ['overlay'], magic: [0x794c7630] },
  { kind: 'read-only', names: ['squashfs'], magic: [0x73717368] },
  { kind: 'read-only', names: ['iso9660'], magic: [0x9660] },
  { kind: 'read-only', names: ['erofs'], magic: [0xe0f5e1e2] },
]

/** Mount options that let a flush of the device's cache be left out. */
const NO_BARRIER = new Set(['nobarrier', 'barrier=0', 'barrier=none', 'fsync_mode=nobarrier'])
/** Overlays on overlays; deeper than this nothing is looked for. */
const LAYERS_MAX = 4
const ELSEWHERE = 'put the data directory on ext4, xfs or btrfs (data: in the configuration, or --data)'

/** @param path an existing directory. Never throws: what cannot be found out is unknown. */
export async function fileSystemOf(path: string, probe: FileSystemProbe = systemProbe): Promise<FileSystem> {
  try {
    return await look(path, probe, LAYERS_MAX)
  } catch {
    return { kind: 'unknown', type: 'unknown', mountPoint: null, warning: null }
  }
}

async function look(path: string, probe: FileSystemProbe, layers: number): Promise<FileSystem> {
  const real = await probe.realPath(path)
  const magic = await probe.statfsType(real)
  const byMagic = KNOWN.find((known) => known.magic.includes(magic))
  let mount = mountOf(real, parseMounts(await probe.mountInfo()))
  // a mount that lies under another one, which the table does not show by its order alone
  if (mount !== null && byMagic !== undefined && !byMagic.names.includes(mount.type)) mount = null
  const known = byMagic ?? KNOWN.find(({ names }) => mount !== null && names.includes(mount.type))
  const type = mount?.type ?? known?.names[0] ?? `0x${magic.toString(16)}`
  const found = { kind: known?.kind ?? ('unknown' as const), type, mountPoint: mount?.mountPoint ?? null }
  if (mount?.options.has('ro') === true)
    return { ...found, kind: 'read-only', warning: WARNINGS['read-only'](type) }
  if (found.kind === 'overlay') return overlay(found, mount, probe, layers)
  const barrier = [...(mount?.options ?? [])].find((option) => NO_BARRIER.has(option))
  if (found.kind === 'reliable' && barrier !== undefined)
    return { ...found, warning: barrierWarning(type, barrier) }
  return { ...found, warning: WARNINGS[found.kind](type) }
}

/** What is written goes to the upper layer, and so does its fsync. */
async function overlay(
  found: Omit<FileSystem, 'warning'>,
  mount: Mount | null,
  probe: FileSystemProbe,
  layers: number,
): Promise<FileSystem> {
  if (mount?.options.has('volatile') === true) {
    const warning = `${found.type} is mounted with "volatile": fsync does nothing there, and a power cut takes what was acknowledged - mount it without, or ${ELSEWHERE}`
    return { ...found, kind: 'volatile', warning }
  }
  const upper = [...(mount?.options ?? [])]
    .find((option) => option.startsWith('upperdir='))
    ?.slice('upperdir='.length)
  if (upper !== undefined && layers > 0) {
    const below = await look(upper, probe, layers - 1).catch(() => null)
    if (below !== null) {
      const { mountPoint } = found
      return { ...below, type: `overlay on ${below.type}`, mountPoint }
    }
  }
  return { ...found, warning: WARNINGS.overlay(found.type) }
}

const WARNINGS: Readonly<Record<FileSystemKind, (type: string) => string | null>> = {
  reliable: () => null,
  unknown: () => null,
  volatile: (type) => `${type} is in memory: all of it is lost at power off - ${ELSEWHERE}`,
  network: (type) =>
    `${type} is kept by a server: an acknowledgement means what that server's fsync means, and hangs when it does - ${ELSEWHERE}`,
  fragile: (type) =>
    `${type} has no journal that a power cut could not damage, and the log with it - ${ELSEWHERE}, or keep the power`,
  overlay: (type) =>
    `${type} over a layer that cannot be seen from here: a container's own layer goes with the container - give the data directory a volume`,
  'read-only': (type) =>
    `${type} is read-only here - mount it for writing, or choose another directory with --data`,
}

function barrierWarning(type: string, option: string): string {
  return `${type} is mounted with ${option}: the disk's cache is not flushed, and a power cut can take what was acknowledged - mount it without ${option}`
}

export interface Mount {
  /** major:minor of the device; 0:N where there is none. */
  readonly device: string
  readonly mountPoint: string
  readonly type: string
  /** Of the mount and of the file system. */
  readonly options: ReadonlySet<string>
}

/**
 * proc(5): `36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`; spaces in names are `\040`. A type
 * may have a subtype, `fuse.sshfs`.
 */
function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of text.split('\n')) {
    const [left = '', right = ''] = line.split(' - ')
    const [, , device = '', , mountPoint, options = ''] = left.split(' ')
    const [type, , superOptions = ''] = right.split(' ')
    if (mountPoint === undefined || type === undefined || type === '') continue
    mounts.push({
      device,
      mountPoint: unescaped(mountPoint),
      type: type.split('.')[0]!,
      options: new Set([...options.split(','), ...unescaped(superOptions).split(',')]),
    })
  }
  return mounts
}

function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** What is mounted where a path with no symbolic links in it lies. @param mountInfo the text of /proc/self/mountinfo */
export function mountAt(path: string, mountInfo: string): Mount | null {
  return mountOf(path, parseMounts(mountInfo))
}

/** The deepest mount point above the path; of several on one, the last covers the others. */
function mountOf(path: string, mounts: readonly Mount[]): Mount | null {
  let found: Mount | null = null
  for (const mount of mounts) {
    const { mountPoint } = mount
    const isAbove = path === mountPoint || mountPoint === '/' || path.startsWith(`${mountPoint}/`)
    if (isAbove && mountPoint.length >= (found?.mountPoint.length ?? 0)) found = mount
  }
  return found
}
