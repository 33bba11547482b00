/**
 * A disk that fails, waits or dies where a test says so, over a real disk (`nodeDisk`) or one in memory (`MemoryDisk`).
 *
 *   disk.fail({ on: 'sync', nth: 3, code: 'ENOSPC', isKept: true })   the third synced write from now fails, its entries are there
 *   const gate = disk.hold('sync'); await gate.reached; gate.release()   a sync that takes as long as the test likes
 *   disk.cutPowerAt(7)                                               the seventh change from now does not happen, nor any later one
 *
 * Over `MemoryDisk` a cut is a power cut: what was not synced is forgotten. Over a real disk it is the end of the process: what was
 * written stays. `trace` lists the changes in order, so that a test can cut at each of them in turn.
 */
import { writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Disk, NewFile, OpenFile, Store, StoreOptions } from '../../broker/storage/store.ts'
import { FaultyStore } from './faulty-store.ts'
import { MemoryDisk, type ReplaceStage } from './memory-disk.ts'

/**
 * sync, write: a store's batch with and without fsync. replace, rename, sync-directory: `replaceFile` before it begins, before the
 * rename, and between the rename and the fsync of the directory; so are move, sync-directory for `move`. The last four do not change the disk.
 */
export type OperationKind =
  | 'sync'
  | 'write'
  | ReplaceStage
  | 'write-file'
  | 'make-directory'
  | 'create-store'
  | 'settle-store'
  | 'move'
  | 'remove'
  | 'open-store'
  | 'close-store'
  | 'read-file'
  | 'range'

const READING: ReadonlySet<OperationKind> = new Set(['open-store', 'close-store', 'read-file', 'range'])

export interface Operation {
  readonly kind: OperationKind
  readonly path: string
}

export interface Fault {
  readonly on: OperationKind
  /** Only where the path contains this. */
  readonly path?: string
  /** 1 is the next one. */
  readonly nth?: number
  /** How many fail from then on; Infinity until `heal`. */
  readonly times?: number
  readonly code?: 'EIO' | 'ENOSPC'
  /** The operation has its effect all the same, as when a write reached the disk and its fsync failed. */
  readonly isKept?: boolean
}

export interface Gate {
  /** Resolves once an operation waits here. */
  readonly reached: Promise<void>
  /** Lets it and all later ones pass. */
  release(): void
}

const MESSAGES = {
  EIO: 'EIO: i/o error, fdatasync',
  ENOSPC: 'ENOSPC: no space left on device, write',
} as const

interface ActiveFault {
  readonly fault: Fault
  toPass: number
  left: number
}

interface ActiveGate {
  readonly kind: OperationKind
  readonly path: string
  readonly passed: Promise<void>
  pass: () => void
  reach: () => void
}

export class FaultyDisk implements Disk {
  readonly below: Disk
  /** Every change of the disk, in the order in which they began. */
  readonly trace: Operation[] = []
  /** Writes to a store after one that failed there: `Store` forbids them. */
  violations = 0
  #faults: ActiveFault[] = []
  #gates: ActiveGate[] = []
  #cutAt = Number.POSITIVE_INFINITY
  #isOff = false
  #cutsProcess = false
  #cut: () => void = () => {}
  /** Resolves when the power is cut. */
  readonly whenCut = new Promise<void>((resolve) => {
    this.#cut = resolve
  })
  readonly #stores = new Set<Store>()

  constructor(below: Disk) {
    this.below = below
  }

  get hasLevelFiles(): boolean {
    return this.below.hasLevelFiles
  }

  get isOff(): boolean {
    return this.#isOff
  }

  /** True while a fault has not struck as often as it was asked to. */
  get hasFaults(): boolean {
    return this.#faults.length > 0
  }

  fail(fault: Fault): void {
    this.#faults.push({ fault, toPass: (fault.nth ?? 1) - 1, left: fault.times ?? 1 })
  }

  /** Forgets all faults that have not struck and lets all that is held pass. */
  heal(): void {
    this.#faults = []
    for (const gate of this.#gates.splice(0)) gate.pass()
  }

  hold(kind: OperationKind, path = ''): Gate {
    let release = () => {}
    let reach = () => {}
    const reached = new Promise<void>((resolve) => {
      reach = resolve
    })
    const passed = new Promise<void>((resolve) => {
      release = resolve
    })
    const gate: ActiveGate = { kind, path, passed, pass: release, reach }
    this.#gates.push(gate)
    return {
      reached,
      release: () => {
        this.#gates = this.#gates.filter((other) => other !== gate)
        release()
      },
    }
  }

  /** @param nth change from now, 1 is the next: it does not happen, and from then on everything is refused. */
  cutPowerAt(nth: number): void {
    this.#cutAt = this.trace.length + nth
  }

  /** The same for the process alone: the disk keeps what it was given, synced or not. */
  endProcessAt(nth: number): void {
    this.#cutsProcess = true
    this.cutPowerAt(nth)
  }

  cutPower(): void {
    this.#isOff = true
    if (this.below instanceof MemoryDisk) {
      if (this.#cutsProcess) this.below.endProcess()
      else this.below.crash()
    }
    this.#cut()
  }

  /** Closes the stores that a dead process left open, so that the next one in this process gets their locks. */
  async bury(): Promise<void> {
    this.#isOff = true
    await Promise.all([...this.#stores].map((store) => store.close()))
    this.#stores.clear()
  }

  async openStore(directory: string, options: StoreOptions): Promise<Store> {
    const kind = options.createIfMissing ? 'create-store' : 'open-store'
    let opened: Store | undefined
    const open = async () => {
      opened = await this.below.openStore(directory, options)
      return opened
    }
    const store = await this.run({ kind, path: directory }, open).catch(async (error) => {
      // nobody gets it: who is told that it failed, or is dead by now, closes nothing
      await opened?.close()
      throw error
    })
    this.#stores.add(store)
    return new FaultyStore(this, store, directory, () => this.#stores.delete(store))
  }

  isStoreLocked(directory: string): Promise<boolean> {
    return this.run({ kind: 'read-file', path: directory }, () => this.below.isStoreLocked(directory))
  }

  checkAccess(path: string): Promise<void> {
    return this.run({ kind: 'read-file', path }, () => this.below.checkAccess(path))
  }

  readFile(path: string): Promise<Buffer | undefined> {
    return this.run({ kind: 'read-file', path }, () => this.below.readFile(path))
  }

  async replaceFile(path: string, bytes: Uint8Array): Promise<void> {
    const { below } = this
    if (below instanceof MemoryDisk) {
      await below.replaceFileInStages(path, bytes, (kind) => this.#before({ kind, path }).then(() => {}))
      return
    }
    await this.#before({ kind: 'replace', path })
    try {
      await this.#before({ kind: 'rename', path })
    } catch (error) {
      await writeFile(join(dirname(path), `.${basename(path)}.tmp`), bytes)
      throw error
    }
    // the real disk cannot be stopped between its rename and its fsync: both are done, and the caller is told otherwise
    await below.replaceFile(path, bytes)
    await this.#before({ kind: 'sync-directory', path })
  }

  async openFile(path: string): Promise<OpenFile | undefined> {
    const file = await this.run({ kind: 'read-file', path }, () => this.below.openFile(path))
    if (file === undefined) return undefined
    return {
      size: file.size,
      read: (offset, length, into) =>
        this.run({ kind: 'read-file', path }, () => file.read(offset, length, into)),
      close: () => file.close(),
    }
  }

  async move(from: string, to: string): Promise<void> {
    const { below } = this
    const before = (kind: 'move' | 'sync-directory') => this.#before({ kind, path: to }).then(() => {})
    if (below instanceof MemoryDisk) return below.moveInStages(from, to, before)
    await before('move')
    // as in `replaceFile`: both are done, and the caller is told otherwise
    await below.move(from, to)
    await before('sync-directory')
  }

  async newFile(path: string): Promise<NewFile> {
    const { below } = this
    const staged = (kind: ReplaceStage) => this.#before({ kind, path }).then(() => {})
    const create = () =>
      below instanceof MemoryDisk ? below.newFileInStages(path, staged) : below.newFile(path)
    const file = await this.run({ kind: 'write-file', path }, create)
    return {
      write: (bytes) => this.run({ kind: 'write-file', path }, () => file.write(bytes)),
      commit: async () => {
        // on a real disk it cannot be stopped in between
        if (!(below instanceof MemoryDisk)) await staged('replace')
        await file.commit()
      },
      discard: () => this.run({ kind: 'remove', path }, () => file.discard()),
    }
  }

  makeDirectory(path: string): Promise<void> {
    return this.run({ kind: 'make-directory', path }, () => this.below.makeDirectory(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.run({ kind: 'sync-directory', path }, () => this.below.syncDirectory(path))
  }

  list(path: string): Promise<string[]> {
    return this.run({ kind: 'read-file', path }, () => this.below.list(path))
  }

  settleStore(directory: string, options: StoreOptions): Promise<void> {
    return this.run({ kind: 'settle-store', path: directory }, () =>
      this.below.settleStore(directory, options),
    )
  }

  usage(path: string): Promise<number> {
    return this.run({ kind: 'read-file', path }, () => this.below.usage(path))
  }

  space(path: string): ReturnType<Disk['space']> {
    return this.run({ kind: 'read-file', path }, () => this.below.space(path))
  }

  remove(path: string): Promise<void> {
    return this.run({ kind: 'remove', path }, () => this.below.remove(path))
  }

  /** Runs an operation under the faults, gates and cuts that were asked for. */
  async run<T>(operation: Operation, effect: () => Promise<T>): Promise<T> {
    const failure = await this.#before(operation)
    const result = await effect()
    if (this.#isOff) throw new Error('the power was cut')
    if (failure !== null) throw failure
    return result
  }

  /** @returns an error to throw once the operation had its effect. @throws one that comes instead of it. */
  async #before(operation: Operation): Promise<Error | null> {
    this.#refuseWhenOff()
    if (!READING.has(operation.kind)) {
      this.trace.push(operation)
      if (this.trace.length === this.#cutAt) this.cutPower()
      this.#refuseWhenOff()
    }
    for (const gate of this.#gates) {
      if (gate.kind !== operation.kind || !operation.path.includes(gate.path)) continue
      gate.reach()
      await gate.passed
      this.#refuseWhenOff()
    }
    const fault = this.#strike(operation)
    if (fault === undefined) return null
    const code = fault.code ?? 'EIO'
    const error = Object.assign(new Error(MESSAGES[code]), { code })
    if (fault.isKept === true) return error
    throw error
  }

  #strike({ kind, path }: Operation): Fault | undefined {
    for (const active of this.#faults) {
      const { fault } = active
      if (fault.on !== kind || !path.includes(fault.path ?? '')) continue
      if (active.toPass-- > 0) continue
      if (--active.left <= 0) this.#faults = this.#faults.filter((other) => other !== active)
      return fault
    }
    return undefined
  }

  #refuseWhenOff(): void {
    if (this.#isOff) throw new Error('the power was cut')
  }
}
