/**
 * A disk in memory that knows what a power cut would leave. Writes are seen at once and are durable once they were synced; `crash`
 * forgets the rest and invalidates every open store, as the end of the process does.
 *
 * What it takes over from LevelDB and a journaling file system:
 * - a store's unsynced batches survive as a prefix: its write-ahead file is written in order;
 * - a synced batch makes all before it durable;
 * - opening a store makes durable what it finds: LevelDB writes what it recovers to a table and syncs it;
 * - a renamed file, a new directory and a removal are durable once their directory was synced. Before that they may be on disk or not,
 *   and of a directory that was being removed some files may be gone: a store is then not to be opened;
 * - what was moved is under its new name for good once the new name's directory was synced.
 */
import { basename, dirname } from 'node:path'
import { setImmediate as tick } from 'node:timers/promises'
import { DataDirectoryError, DataDirectoryLockedError } from '../../broker/errors.ts'
import type { Disk, NewFile, OpenFile, Store, StoreOptions } from '../../broker/storage/store.ts'
import { MemoryStore, StoreNode } from './memory-store.ts'

interface FileNode {
  readonly kind: 'file'
  view: Buffer
  /** undefined: the name is not in the directory that is on disk. */
  durable: Buffer | undefined
}

/** What a cut leaves of a rename or a removal that was not synced: the old, the new, or, of a removed directory, some files. */
export type NameOutcome = 'old' | 'new' | 'torn'

type Node = StoreNode | FileNode | { readonly kind: 'directory' }

export type ReplaceStage = 'replace' | 'rename' | 'sync-directory'

export class MemoryDisk implements Disk {
  readonly hasLevelFiles = false
  #nodes = new Map<string, Node>()
  /** Removed, but not yet in the directory on disk. */
  #removals: { path: string; nodes: [string, Node][] }[] = []
  /** Moved, but not yet in the new name's directory on disk. */
  #moves: { from: string; to: string }[] = []
  /** Counts the crashes: what was opened before the last one is dead. */
  #life = 0

  /** Asked at a crash for each rename and removal that was not synced. */
  namesLeft: () => NameOutcome = () => 'old'

  /** @param kept how many of a store's unsynced batches survive, oldest first. */
  crash(kept: (unsynced: number) => number = () => 0): void {
    this.#life++
    for (const { from, to } of this.#moves.reverse()) if (this.namesLeft() !== 'new') this.#rename(to, from)
    this.#moves = []
    for (const { nodes } of this.#removals.reverse()) this.#undoRemoval(nodes, this.namesLeft())
    this.#removals = []
    for (const [path, node] of this.#nodes) {
      if (node.kind === 'store') {
        node.settle(kept(node.unsynced.length))
        node.forget()
        node.isOpen = false
      } else if (node.kind === 'file') {
        if (node.durable !== node.view && this.namesLeft() === 'new') node.durable = node.view
        if (node.durable === undefined) this.#nodes.delete(path)
        else node.view = node.durable
      }
    }
  }

  #undoRemoval(nodes: readonly [string, Node][], outcome: NameOutcome): void {
    if (outcome === 'new') return
    for (const [path, node] of nodes) {
      if (this.#nodes.has(path) || (outcome === 'torn' && node.kind === 'file')) continue
      if (outcome === 'torn' && node.kind === 'store') node.isTorn = true
      this.#nodes.set(path, node)
    }
  }

  /** The end of the process alone: what was written is seen by the next one, and still lost by a power cut. */
  endProcess(): void {
    this.#life++
    for (const node of this.#nodes.values()) if (node.kind === 'store') node.isOpen = false
  }

  async openStore(directory: string, options: StoreOptions): Promise<Store> {
    await tick()
    let node = this.#nodes.get(directory)
    if (node?.kind !== 'store') {
      if (!options.createIfMissing) {
        throw new DataDirectoryError(directory, 'does not exist (create_if_missing is false)', '')
      }
      node = new StoreNode()
      this.#nodes.set(directory, node)
    }
    if (node.isTorn) throw new DataDirectoryError(directory, 'Corruption: missing files', '')
    if (node.isOpen) throw new DataDirectoryLockedError(directory)
    node.isOpen = true
    node.settle()
    const life = this.#life
    return new MemoryStore(node, () => this.#life === life)
  }

  async isStoreLocked(directory: string): Promise<boolean> {
    await tick()
    const node = this.#nodes.get(directory)
    return node?.kind === 'store' && node.isOpen
  }

  /** Nothing is forbidden in memory. */
  checkAccess(): Promise<void> {
    return tick()
  }

  async readFile(path: string): Promise<Buffer | undefined> {
    await tick()
    const node = this.#nodes.get(path)
    return node?.kind === 'file' ? Buffer.from(node.view) : undefined
  }

  async openFile(path: string): Promise<OpenFile | undefined> {
    const bytes = await this.readFile(path)
    if (bytes === undefined) return undefined
    return {
      size: bytes.length,
      read: async (offset, length, into) => {
        await tick()
        const part = Buffer.from(bytes.subarray(offset, offset + length))
        return into === undefined ? part : into.subarray(0, part.copy(into))
      },
      close: () => tick(),
    }
  }

  replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    return this.replaceFileInStages(path, bytes, async () => {})
  }

  /** @param before called before each stage: what it throws, or a crash while it awaits, stops there. */
  async replaceFileInStages(
    path: string,
    bytes: Uint8Array,
    before: (stage: ReplaceStage) => Promise<void>,
  ): Promise<void> {
    const copy = Buffer.from(bytes)
    await tick()
    await before('replace')
    await before('rename')
    const node = this.#nodes.get(path)
    if (node?.kind === 'file') node.view = copy
    else this.#nodes.set(path, { kind: 'file', view: copy, durable: undefined })
    await before('sync-directory')
    this.#syncDirectory(dirname(path))
  }

  move(from: string, to: string): Promise<void> {
    return this.moveInStages(from, to, async () => {})
  }

  /** @param before called before each stage, as in `replaceFileInStages` */
  async moveInStages(
    from: string,
    to: string,
    before: (stage: 'move' | 'sync-directory') => Promise<void>,
  ): Promise<void> {
    await tick()
    await before('move')
    if (!this.#nodes.has(from))
      throw Object.assign(new Error(`ENOENT: no such file, move ${from}`), { code: 'ENOENT' })
    if (this.#nodes.has(to))
      throw Object.assign(new Error(`EEXIST: file already exists, move to ${to}`), { code: 'EEXIST' })
    this.#rename(from, to)
    this.#moves.push({ from, to })
    await before('sync-directory')
    this.#syncDirectory(dirname(to))
    this.#syncDirectory(dirname(from))
  }

  #rename(from: string, to: string): void {
    for (const [name, node] of [...this.#nodes]) {
      if (name !== from && !name.startsWith(`${from}/`)) continue
      this.#nodes.delete(name)
      this.#nodes.set(to + name.slice(from.length), node)
    }
  }

  async newFile(path: string): Promise<NewFile> {
    return this.newFileInStages(path, async () => {})
  }

  async newFileInStages(path: string, before: (stage: ReplaceStage) => Promise<void>): Promise<NewFile> {
    const partial = `${path}.partial`
    const pieces: Buffer[] = []
    const put = () =>
      this.#nodes.set(partial, { kind: 'file', view: Buffer.concat(pieces), durable: undefined })
    await tick()
    put()
    return {
      write: async (bytes) => {
        await tick()
        pieces.push(Buffer.from(bytes))
        put()
      },
      commit: () =>
        this.replaceFileInStages(path, Buffer.concat(pieces), async (stage) => {
          await before(stage)
          if (stage === 'rename') this.#nodes.delete(partial)
        }),
      discard: async () => {
        await tick()
        this.#nodes.delete(partial)
      },
    }
  }

  async makeDirectory(path: string): Promise<void> {
    await tick()
    for (let level = path; !this.#nodes.has(level); level = dirname(level)) {
      this.#nodes.set(level, { kind: 'directory' })
      this.#syncDirectory(dirname(level))
      if (level === dirname(level)) return
    }
  }

  async syncDirectory(path: string): Promise<void> {
    await tick()
    this.#syncDirectory(path)
  }

  async list(path: string): Promise<string[]> {
    await tick()
    return [...this.#nodes.keys()]
      .filter((name) => dirname(name) === path && name !== path)
      .map((name) => basename(name))
  }

  async settleStore(directory: string, options: StoreOptions): Promise<void> {
    const store = await this.openStore(directory, options)
    await store.close()
  }

  async usage(path: string): Promise<number> {
    await tick()
    let bytes = 0
    for (const [name, node] of this.#nodes) {
      if (name !== path && !name.startsWith(`${path}/`)) continue
      if (node.kind === 'file') bytes += node.view.length
      else if (node.kind === 'store') for (const [key, value] of node.view) bytes += key.length + value.length
    }
    return bytes
  }

  /** What a test says is left; null is no limit. */
  freeBytes: number | null = null

  async space(): Promise<{ freeBytes: number; totalBytes: number } | null> {
    await tick()
    return this.freeBytes === null ? null : { freeBytes: this.freeBytes, totalBytes: 1e12 }
  }

  async remove(path: string): Promise<void> {
    await tick()
    const nodes = [...this.#nodes].filter(([name]) => name === path || name.startsWith(`${path}/`))
    for (const [name] of nodes) this.#nodes.delete(name)
    if (nodes.length > 0) this.#removals.push({ path, nodes })
  }

  #syncDirectory(path: string): void {
    this.#removals = this.#removals.filter((removal) => dirname(removal.path) !== path)
    this.#moves = this.#moves.filter((move) => dirname(move.to) !== path)
    for (const [name, node] of this.#nodes) {
      if (node.kind === 'file' && dirname(name) === path) node.durable = node.view
    }
  }
}
