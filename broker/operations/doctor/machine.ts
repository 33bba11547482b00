/** What the examination asks of the machine. Tests hand in another one, with a /proc and a /sys of its own. */
import { readdir, readFile, readlink, realpath, stat, statfs } from 'node:fs/promises'
import { machine as kernelArchitecture } from 'node:os'

export interface FileFacts {
  /** Permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly isDirectory: boolean
}

/** What cannot be read is not there: nothing here throws. */
export interface Machine {
  readText(path: string): Promise<string | null>
  /** The names in a directory; none where it is not there. */
  list(path: string): Promise<string[]>
  /** Where a symbolic link leads, as it says. */
  linkTarget(path: string): Promise<string | null>
  /** With no symbolic links in it. */
  realPath(path: string): Promise<string | null>
  facts(path: string): Promise<FileFacts | null>
  /** What an unprivileged process may still take. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | null>
  /** As of this process. */
  readonly uid: number
  readonly nodeVersion: string
  /** Of the Node that runs this: x64, arm64, arm. */
  readonly nodeArchitecture: string
  /** Of the kernel, as uname has it: x86_64, aarch64, armv7l. */
  readonly kernelArchitecture: string
}

export const nodeMachine: Machine = {
  readText: (path) => orNull(() => readFile(path, 'latin1')),
  list: async (path) => (await orNull(() => readdir(path))) ?? [],
  linkTarget: (path) => orNull(() => readlink(path)),
  realPath: (path) => orNull(() => realpath(path)),
  facts: (path) =>
    orNull(async () => {
      const found = await stat(path)
      return { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, isDirectory: found.isDirectory() }
    }),
  space: (path) =>
    orNull(async () => {
      const { bavail, blocks, bsize } = await statfs(path)
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
    }),
  uid: process.getuid?.() ?? 0,
  nodeVersion: process.versions.node,
  nodeArchitecture: process.arch,
  kernelArchitecture: kernelArchitecture(),
}

async function orNull<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask()
  } catch {
    return null
  }
}
