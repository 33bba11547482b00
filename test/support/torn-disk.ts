/**
 * The real disk with real LevelDB directories, of which a power cut tears the last write: what LevelDB had appended to its write-ahead
 * files since their last fsync is lost, cut short, zeroed, overwritten or left in part, as a file system leaves it whose file is
 * longer than what was written of it. No root is needed; a cut of a whole file system is test/powercut.
 *
 *   disk.cutAt(7)            the seventh synced write from now comes to the file, and its fsync never ends
 *   await disk.bury()        closes what the dead process had open
 *   disk.tear(random)        damages what was not synced; returns how
 */
import { closeSync, existsSync, openSync, readdirSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { nodeDisk } from '../../broker/storage/node-disk.ts'
import type {
  Disk,
  RangeOptions,
  Store,
  StoreOptions,
  StoreScan,
  WriteBatch,
} from '../../broker/storage/store.ts'
import type { Random } from './random.ts'

/**
 * lost: nothing of it is there. short: it ends somewhere. zeros, garbage: from somewhere on it is that. hole: a part in the middle is
 * zeros. longer: zeros follow it. kept: it is there.
 */
export const TEARS = ['lost', 'short', 'zeros', 'garbage', 'hole', 'longer', 'kept'] as const
export type Tear = (typeof TEARS)[number]

const LONGER_BYTES_MAX = 40_000

export interface Torn {
  readonly file: string
  readonly tear: Tear
  /** Not synced before the cut. */
  readonly bytes: number
}

export class TornDisk implements Disk {
  #cutAt = Number.POSITIVE_INFINITY
  #writes = 0
  #isOff = false
  #cut: () => void = () => {}
  readonly whenCut = new Promise<void>((resolve) => {
    this.#cut = resolve
  })
  readonly #stores = new Set<Store>()
  /** By write-ahead file: its length at its last fsync. */
  readonly #synced = new Map<string, number>()
  readonly #directories = new Set<string>()

  get isOff(): boolean {
    return this.#isOff
  }

  /** @param nth synced write from now; 1 is the next. */
  cutAt(nth: number): void {
    this.#cutAt = this.#writes + nth
  }

  async bury(): Promise<void> {
    this.#isOff = true
    await Promise.all([...this.#stores].map((store) => store.close()))
    this.#stores.clear()
  }

  /** @returns what was torn; nothing where all was synced */
  tear(random: Random): Torn[] {
    const torn: Torn[] = []
    for (const directory of this.#directories) {
      for (const [file, to] of writeAheadFiles(directory)) {
        const from = this.#synced.get(file) ?? 0
        if (to === from) continue
        const tear = TEARS[random.between(0, TEARS.length - 1)]!
        tearFile(file, tear, from, to, random)
        torn.push({ file, tear, bytes: to - from })
      }
    }
    return torn
  }

  async openStore(directory: string, options: StoreOptions): Promise<Store> {
    this.#refuseWhenOff()
    const store = await nodeDisk.openStore(directory, options)
    this.#stores.add(store)
    this.#directories.add(directory)
    return new TornStore(store, {
      check: () => this.#refuseWhenOff(),
      write: (sync, write) => this.#write(directory, sync, write),
      closed: () => this.#stores.delete(store),
    })
  }

  async #write(directory: string, sync: boolean, write: () => Promise<void>): Promise<void> {
    this.#refuseWhenOff()
    const isLast = sync && ++this.#writes === this.#cutAt
    await write()
    if (isLast) {
      this.#isOff = true
      this.#cut()
    }
    this.#refuseWhenOff()
    if (sync) for (const [file, bytes] of writeAheadFiles(directory)) this.#synced.set(file, bytes)
  }

  #refuseWhenOff(): void {
    if (this.#isOff) throw new Error('the power was cut')
  }

  // what is not about stores is the real disk's, until the power is off
  readonly hasLevelFiles = true
  readonly readFile = this.#unlessOff(nodeDisk.readFile)
  readonly openFile = this.#unlessOff(nodeDisk.openFile)
  readonly isStoreLocked = this.#unlessOff(nodeDisk.isStoreLocked)
  readonly checkAccess = this.#unlessOff(nodeDisk.checkAccess)
  readonly move = this.#unlessOff(nodeDisk.move)
  readonly newFile = this.#unlessOff(nodeDisk.newFile)
  readonly replaceFile = this.#unlessOff(nodeDisk.replaceFile)
  readonly makeDirectory = this.#unlessOff(nodeDisk.makeDirectory)
  readonly syncDirectory = this.#unlessOff(nodeDisk.syncDirectory)
  readonly list = this.#unlessOff(nodeDisk.list)
  readonly settleStore = this.#unlessOff(nodeDisk.settleStore)
  readonly usage = this.#unlessOff(nodeDisk.usage)
  readonly space = this.#unlessOff(nodeDisk.space)
  readonly remove = this.#unlessOff(nodeDisk.remove)

  #unlessOff<A extends unknown[], R>(operation: (...given: A) => Promise<R>): (...given: A) => Promise<R> {
    return async (...given) => {
      this.#refuseWhenOff()
      return operation.apply(nodeDisk, given)
    }
  }
}

interface Hooks {
  check(): void
  write(sync: boolean, write: () => Promise<void>): Promise<void>
  closed(): void
}

class TornStore implements Store {
  readonly #below: Store
  readonly #hooks: Hooks

  constructor(below: Store, hooks: Hooks) {
    this.#below = below
    this.#hooks = hooks
  }

  batch(): WriteBatch {
    const batch = this.#below.batch()
    return {
      put: (key, value) => batch.put(key, value),
      delete: (key) => batch.delete(key),
      write: (options) => this.#hooks.write(options.sync, () => batch.write(options)),
    }
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    this.#hooks.check()
    return this.#below.get(key)
  }

  async getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    this.#hooks.check()
    return this.#below.getMany(keys)
  }

  async range(options: RangeOptions): ReturnType<Store['range']> {
    this.#hooks.check()
    return this.#below.range(options)
  }

  scan(from: Buffer, to: Buffer): StoreScan {
    this.#hooks.check()
    return this.#below.scan(from, to)
  }

  async close(): Promise<void> {
    await this.#below.close()
    this.#hooks.closed()
  }
}

/** With their sizes; LevelDB removes old ones meanwhile. */
function writeAheadFiles(directory: string): [file: string, bytes: number][] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(directory, name))
    .map((file): [string, number] => [file, statSync(file, { throwIfNoEntry: false })?.size ?? 0])
}

function tearFile(file: string, tear: Tear, from: number, to: number, random: Random): void {
  const at = random.between(from, to - 1)
  switch (tear) {
    case 'lost':
      truncateSync(file, from)
      return
    case 'short':
      truncateSync(file, at)
      return
    case 'zeros':
      overwrite(file, at, Buffer.alloc(to - at))
      return
    case 'garbage':
      overwrite(file, at, bytesOf(random, to - at))
      return
    case 'hole':
      overwrite(file, at, Buffer.alloc(random.between(1, to - at)))
      return
    case 'longer':
      overwrite(file, to, Buffer.alloc(random.between(1, LONGER_BYTES_MAX)))
      return
    case 'kept':
      return
  }
}

function bytesOf(random: Random, count: number): Buffer {
  const bytes = Buffer.alloc(count)
  for (let i = 0; i < count; i++) bytes[i] = random.between(0, 255)
  return bytes
}

function overwrite(file: string, at: number, bytes: Buffer): void {
  const fd = openSync(file, 'r+')
  try {
    writeSync(fd, bytes, 0, bytes.length, at)
  } finally {
    closeSync(fd)
  }
}
