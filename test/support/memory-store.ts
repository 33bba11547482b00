/** A store on a disk in memory: what it holds now, and what of that a power cut leaves (memory-disk.ts). */
import { setImmediate as tick } from 'node:timers/promises'
import type { Entry, RangeOptions, Store, StoreScan, WriteBatch } from '../../broker/storage/store.ts'

type Change = { readonly key: string; readonly value: Buffer | null }

/** What is on the disk. Keys are latin1 strings: they sort as their bytes do. */
export class StoreNode {
  readonly kind = 'store'
  view = new Map<string, Buffer>()
  durable = new Map<string, Buffer>()
  unsynced: Change[][] = []
  isOpen = false
  /** Some of its files are gone. */
  isTorn = false
  #sorted: string[] | undefined

  write(changes: Change[]): void {
    this.unsynced.push(changes)
    apply(this.view, changes)
    this.#sorted = undefined
  }

  /** Makes the oldest unsynced batches durable. */
  settle(count = this.unsynced.length): void {
    for (const changes of this.unsynced.splice(0, count)) apply(this.durable, changes)
  }

  forget(): void {
    this.unsynced = []
    this.view = new Map(this.durable)
    this.#sorted = undefined
  }

  range(from: string, to: string): string[] {
    this.#sorted ??= [...this.view.keys()].sort()
    return this.#sorted.filter((key) => key >= from && key < to)
  }
}

/** One opening of it. */
export class MemoryStore implements Store {
  readonly #node: StoreNode
  readonly #isAlive: () => boolean
  #isClosed = false

  constructor(node: StoreNode, isAlive: () => boolean) {
    this.#node = node
    this.#isAlive = isAlive
  }

  batch(): WriteBatch {
    const changes: Change[] = []
    return {
      put: (key, value) => void changes.push({ key: key.toString('latin1'), value: Buffer.from(value) }),
      delete: (key) => void changes.push({ key: key.toString('latin1'), value: null }),
      write: async ({ sync }) => {
        this.#check()
        this.#node.write(changes)
        await tick()
        this.#check()
        if (sync) this.#node.settle(this.#node.unsynced.indexOf(changes) + 1)
      },
    }
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.getMany([key]))[0]
  }

  async getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    this.#check()
    const values = keys.map((key) => copyOf(this.#node.view.get(key.toString('latin1'))))
    await tick()
    return values
  }

  async range({ from, to, bytesMax }: RangeOptions): Promise<Entry[]> {
    return this.scan(from, to).next(bytesMax)
  }

  scan(from: Buffer, to: Buffer): StoreScan {
    this.#check()
    const { view } = this.#node
    const entries = this.#node
      .range(from.toString('latin1'), to.toString('latin1'))
      .map((key) => ({ key, value: view.get(key)! }))
    let at = 0
    return {
      next: async (bytesMax) => {
        this.#check()
        const found: Entry[] = []
        for (let bytes = 0; bytes < bytesMax && at < entries.length; at++) {
          const entry = { key: Buffer.from(entries[at]!.key, 'latin1'), value: copyOf(entries[at]!.value)! }
          found.push(entry)
          bytes += entry.key.length + entry.value.length
        }
        await tick()
        return found
      },
      close: async () => {},
    }
  }

  async close(): Promise<void> {
    await tick()
    if (!this.#isClosed && this.#isAlive()) this.#node.isOpen = false
    this.#isClosed = true
  }

  #check(): void {
    if (!this.#isAlive()) throw new Error('the power was cut')
    if (this.#isClosed) throw new Error('the store is closed')
  }
}

function apply(to: Map<string, Buffer>, changes: readonly Change[]): void {
  for (const { key, value } of changes) {
    if (value === null) to.delete(key)
    else to.set(key, value)
  }
}

function copyOf(value: Buffer | undefined): Buffer | undefined {
  return value === undefined ? undefined : Buffer.from(value)
}
