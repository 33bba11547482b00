/** The system's own tools: losetup, mount, umount, mkfs.ext4, e2fsck. */
import { execFile, spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { FUSE_DEVICE } from './fuse.ts'

const TOOLS = ['losetup', 'mount', 'umount', 'mkfs.ext4', 'e2fsck']
const TOOL_DIRECTORIES = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin']
const DIRECTORY_PREFIX = 'headwater-powercut-'
const UMOUNT_MS_MAX = 10_000

const environment = { ...process.env, PATH: TOOL_DIRECTORIES.join(':'), LC_ALL: 'C' }

/** @returns why no power can be cut here, in one line; null when it can. */
export function whatIsMissing(): string | null {
  if (process.platform !== 'linux') return 'loop devices are Linux’s own'
  if (process.getuid?.() !== 0) return 'mounting takes root: try `sudo npm run test:powercut`'
  if (!existsSync('/dev/loop-control'))
    return 'there is no /dev/loop-control: no loop devices in this kernel or container'
  if (!isUsable(FUSE_DEVICE)) return `${FUSE_DEVICE} cannot be opened: no FUSE in this kernel or container`
  const missing = TOOLS.filter((tool) => !TOOL_DIRECTORIES.some((path) => existsSync(join(path, tool))))
  if (missing.length > 0) return `${missing.join(', ')} not found: install e2fsprogs, mount and util-linux`
  if (!readFileSync('/proc/filesystems', 'utf8').includes('\text4\n')) return 'this kernel has no ext4'
  const free = spawnSync('losetup', ['-f'], { env: environment, encoding: 'utf8' })
  return free.status === 0 ? null : `no loop device is free: ${free.stderr.trim()}`
}

function isUsable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Runs a tool to its end. @throws with its own words */
export async function run(tool: string, args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(tool, args, { env: environment })).stdout
  } catch (error) {
    const {
      stderr = '',
      stdout = '',
      message,
    } = error as { stderr?: string; stdout?: string; message: string }
    throw new Error(`${tool} ${args.join(' ')}: ${`${stdout}${stderr}`.trim() || message}`)
  }
}

/** A free loop device on the file. */
export async function attachLoop(file: string): Promise<string> {
  return (await run('losetup', ['-f', '--show', file])).trim()
}

/** A process that was just killed may hold the mount for a moment. */
export async function unmount(path: string): Promise<void> {
  const deadline = Date.now() + UMOUNT_MS_MAX
  for (;;) {
    try {
      await run('umount', [path])
      return
    } catch (error) {
      if (Date.now() > deadline || !/busy/.test((error as Error).message)) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** Where a run keeps its image and its mount points. */
export class Place {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  static prefix(base = tmpdir()): string {
    return join(base, DIRECTORY_PREFIX)
  }

  /** What is on the medium. */
  get image(): string {
    return join(this.directory, 'image')
  }
  /** The file that the disk serves: what the loop device stands on. */
  get device(): string {
    return join(this.directory, 'device')
  }
  get mountPoint(): string {
    return join(this.directory, 'mnt')
  }
  get data(): string {
    return join(this.mountPoint, 'data')
  }
  get config(): string {
    return join(this.directory, 'headwater.yaml')
  }
  /** Its number: whose end lets another run clean up. */
  get pidFile(): string {
    return join(this.directory, 'pid')
  }
}

/** Takes down whatever is still mounted, in any state, also over a disk that does not answer. */
export function tearDown(place: Place, keep: boolean): void {
  const quietly = (tool: string, ...args: string[]) =>
    spawnSync(tool, args, { env: environment, encoding: 'utf8' }).stdout ?? ''
  // by force: whoever waits for the disk gets an error, so that the next line does not wait as well
  quietly('umount', '-f', place.device)
  quietly('umount', '-l', place.mountPoint)
  const loops = quietly('losetup', '--list', '--noheadings', '--output', 'NAME,BACK-FILE')
  for (const line of loops.split('\n')) {
    const [loop, file] = line.trim().split(/\s+/)
    if (loop !== undefined && file?.startsWith(place.device)) quietly('losetup', '-d', loop)
  }
  quietly('umount', '-l', place.device)
  // what has no owner is swept away; what is kept is kept from that
  rmSync(keep ? place.pidFile : place.directory, { recursive: true, force: true })
}

/** Removes what runs left that were killed with all their processes. */
export function sweep(base = tmpdir()): void {
  for (const name of readdirSync(base).filter((found) => found.startsWith(DIRECTORY_PREFIX))) {
    const place = new Place(join(base, name))
    if (!existsSync(place.pidFile)) continue
    const pid = readFileSync(place.pidFile, 'utf8').trim()
    if (pid !== '' && !existsSync(`/proc/${pid}`)) tearDown(place, false)
  }
}
