import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystemProbe, fileSystemOf, systemProbe } from '../../../broker/storage/file-system.ts'

const ROOT = '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard'
const EXT = 0xef53
const OVERLAY = 0x794c7630

/** @param types by path: what statfs says; the longest one above counts. */
function probeOf(lines: string[], types: Record<string, number>): FileSystemProbe {
  const deepest = (path: string) =>
    Object.keys(types)
      .filter((known) => path.startsWith(known))
      .toSorted((a, b) => b.length - a.length)[0]
  return {
    realPath: async (path) => {
      if (deepest(path) === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
      return path
    },
    statfsType: async (path) => types[deepest(path)!]!,
    mountInfo: async () => lines.join('\n'),
  }
}

/** What is said of a directory on a disk that is mounted on /mnt beside the root. */
function onMount(type: string, magic: number, options = 'rw', superOptions = 'rw') {
  const lines = [ROOT, `40 22 8:1 / /mnt ${options} shared:1 - ${type} /dev/sda1 ${superOptions}`]
  return fileSystemOf('/mnt/data', probeOf(lines, { '/': EXT, '/mnt': magic }))
}

describe('the kind of a file system', () => {
  it.each([
    ['ext4', EXT],
    ['ext3', EXT],
    ['ext2', EXT],
    ['xfs', 0x58465342],
    ['btrfs', 0x9123683e],
    ['f2fs', 0xf2f52010],
    ['zfs', 0x2fc12fc1],
    ['bcachefs', 0xca451a4e],
    ['ubifs', 0x24051905],
  ])('%s is reliable, and nothing is said', async (type, magic) => {
    expect(await onMount(type, magic)).toEqual({ kind: 'reliable', type, mountPoint: '/mnt', warning: null })
  })

  it.each([
    [
      'tmpfs',
      0x01021994,
      'volatile',
      /^tmpfs is in memory: all of it is lost at power off - put the data directory on/,
    ],
    ['ramfs', 0x858458f6, 'volatile', /lost at power off/],
    ['nfs4', 0x6969, 'network', /^nfs4 is kept by a server: .* - put the data directory on/],
    ['cifs', 0xff534d42, 'network', /server/],
    ['smb3', 0xfe534d42, 'network', /server/],
    ['9p', 0x01021997, 'network', /server/],
    ['fuse.sshfs', 0x65735546, 'network', /^fuse is kept by a server/],
    ['fuseblk', 0x65735546, 'network', /server/],
    ['vfat', 0x4d44, 'fragile', /^vfat has no journal/],
    ['exfat', 0x2011bab0, 'fragile', /^exfat has no journal/],
    ['squashfs', 0x73717368, 'read-only', /^squashfs is read-only here - mount it for writing/],
  ])('%s is told of with a way out', async (type, magic, kind, warning) => {
    const found = await onMount(type, magic)
    expect(found).toMatchObject({ kind, type: type.split('.')[0], mountPoint: '/mnt' })
    expect(found.warning).toMatch(warning)
  })

  it('is unknown where nobody knows it, and nothing is said', async () => {
    expect(await onMount('newfs', 0x1234)).toEqual({
      kind: 'unknown',
      type: 'newfs',
      mountPoint: '/mnt',
      warning: null,
    })
  })

  it.each([
    ['ext4', EXT, 'rw,relatime', 'rw,nobarrier', 'nobarrier'],
    ['ext3', EXT, 'rw', 'rw,barrier=0', 'barrier=0'],
    ['btrfs', 0x9123683e, 'rw', 'rw,ssd,nobarrier', 'nobarrier'],
    ['f2fs', 0xf2f52010, 'rw', 'rw,fsync_mode=nobarrier', 'fsync_mode=nobarrier'],
  ])('%s without barriers is told of', async (type, magic, options, superOptions, option) => {
    const found = await onMount(type, magic, options, superOptions)
    expect(found.kind).toBe('reliable')
    expect(found.warning).toContain(`${type} is mounted with ${option}: the disk's cache is not flushed`)
    expect(found.warning).toContain(`mount it without ${option}`)
  })

  it('says nothing of data=writeback, commit= or barrier=1: what was fsynced stays', async () => {
    expect((await onMount('ext4', EXT, 'rw', 'rw,barrier=1,data=writeback,commit=60')).warning).toBeNull()
  })

  it('is read-only where it is mounted so, whatever it is', async () => {
    for (const [options, superOptions] of [
      ['ro,relatime', 'rw'],
      ['rw', 'ro'],
    ] as const) {
      expect((await onMount('ext4', EXT, options, superOptions)).kind).toBe('read-only')
    }
  })
})

describe('a mount', () => {
  it('is the deepest above the path, and a name that only begins alike is none', async () => {
    const lines = [
      ROOT,
      '40 22 8:1 / /mnt rw - vfat /dev/sda1 rw',
      '41 40 8:2 / /mnt/deep rw - xfs /dev/sda2 rw',
    ]
    const probe = probeOf(lines, { '/': EXT, '/mnt/': 0x4d44, '/mnt/deep': 0x58465342 })
    expect((await fileSystemOf('/mnt/deep/data', probe)).type).toBe('xfs')
    expect((await fileSystemOf('/mnt/data', probe)).type).toBe('vfat')
    expect(await fileSystemOf('/mntdata', probe)).toMatchObject({ type: 'ext4', mountPoint: '/' })
  })

  it('covers an earlier one on the same place', async () => {
    const lines = [ROOT, '40 22 8:1 / /mnt rw - ext4 /dev/sda1 ro', '41 22 0:5 / /mnt rw - tmpfs none rw']
    expect((await fileSystemOf('/mnt', probeOf(lines, { '/mnt': 0x01021994 }))).kind).toBe('volatile')
  })

  it('that statfs contradicts is not believed, nor are its options', async () => {
    const lines = [ROOT, '40 22 8:1 / /mnt rw - tmpfs none ro']
    const found = await fileSystemOf('/mnt/data', probeOf(lines, { '/mnt': EXT }))
    expect(found).toEqual({ kind: 'reliable', type: 'ext4', mountPoint: null, warning: null })
  })

  it('has spaces in its name', async () => {
    const lines = [ROOT, '40 22 8:1 / /media/my\\040disk rw - exfat /dev/sda1 rw']
    const found = await fileSystemOf('/media/my disk/data', probeOf(lines, { '/': 0x2011bab0 }))
    expect(found).toMatchObject({ type: 'exfat', mountPoint: '/media/my disk' })
  })

  it('table that cannot be read leaves the number to tell', async () => {
    expect(await fileSystemOf('/d', probeOf([], { '/': 0x01021994 }))).toMatchObject({
      kind: 'volatile',
      type: 'tmpfs',
      mountPoint: null,
    })
    expect(await fileSystemOf('/d', probeOf([], { '/': 0x1234 }))).toMatchObject({
      kind: 'unknown',
      type: '0x1234',
    })
  })
})

describe('an overlay', () => {
  const overlay = (options: string) =>
    `40 22 0:30 / /merged rw - overlay overlay rw,lowerdir=/lower,${options}`

  it('is as its upper layer, where that can be seen', async () => {
    const lines = [ROOT, '41 22 0:5 / /ram rw - tmpfs none rw']
    const types = { '/': EXT, '/ram': 0x01021994, '/merged': OVERLAY }
    const onDisk = probeOf([...lines, overlay('upperdir=/upper,workdir=/work')], types)
    expect(await fileSystemOf('/merged/data', onDisk)).toEqual({
      kind: 'reliable',
      type: 'overlay on ext4',
      mountPoint: '/merged',
      warning: null,
    })
    const inMemory = probeOf([...lines, overlay('upperdir=/ram/upper,workdir=/ram/work')], types)
    expect(await fileSystemOf('/merged/data', inMemory)).toMatchObject({
      kind: 'volatile',
      type: 'overlay on tmpfs',
      warning: expect.stringContaining('lost at power off'),
    })
  })

  it('says so where its upper layer is another machine’s or a container’s', async () => {
    const probe = probeOf([overlay('upperdir=/elsewhere')], { '/merged': OVERLAY })
    expect(await fileSystemOf('/merged/data', probe)).toMatchObject({
      kind: 'overlay',
      warning: expect.stringContaining('give the data directory a volume'),
    })
  })

  it('that is mounted volatile makes nothing durable', async () => {
    const probe = probeOf([ROOT, overlay('upperdir=/upper,volatile')], { '/': EXT, '/merged': OVERLAY })
    expect(await fileSystemOf('/merged/data', probe)).toMatchObject({
      kind: 'volatile',
      warning: expect.stringContaining('fsync does nothing there'),
    })
  })

  it('over itself ends', async () => {
    const probe = probeOf([overlay('upperdir=/merged/upper')], { '/merged': OVERLAY })
    expect((await fileSystemOf('/merged/data', probe)).type).toBe(
      'overlay on overlay on overlay on overlay on overlay',
    )
  })
})

describe('what cannot be found out', () => {
  it('is unknown, and no error', async () => {
    const unknown = { kind: 'unknown', type: 'unknown', mountPoint: null, warning: null }
    expect(await fileSystemOf('/none', probeOf([ROOT], { '/mnt': EXT }))).toEqual(unknown)
  })

  it.runIf(process.platform === 'linux')('the real system tells of its temporary directory', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'headwater-fs-'))
    try {
      const found = await fileSystemOf(directory)
      expect(found.mountPoint).not.toBeNull()
      expect(directory.startsWith(found.mountPoint!)).toBe(true)
      expect(await systemProbe.statfsType('/proc')).toBe(0x9fa0)
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
