/**
 * Facts that cannot be derived from the log: positions acknowledged by upstreams, later group offsets and sessions.
 * One LevelDB; every put is fsynced. It is the first store opened and the last closed, so that its LOCK file is the
 * lock of the whole data directory: the operating system drops it with the process, however that ends.
 *
 *   fact     := 01 name:utf8         -> sealed
 *   own      := 02 "identity"        -> sealed          the copy of headwater.json: identity.ts
 *   sealed   := crc:u32 payload                         crc = CRC-32C of the key and the payload, little-endian
 *
 * The name "a" with the payload "1":  01 61 -> c7 46 93 94 31
 *
 * LevelDB as it is opened here checks no checksum of its own, and a position that a flipped bit made larger would let retention remove what
 * upstream has not got. A fact that is not whole is none. Facts of before they had a checksum are under their bare name (its first byte
 * is 20 or more); opening gives them one.
 */
import { crc32c } from './crc32c.ts'
import { decodeIdentity, encodeIdentity, type Identity, type StoredIdentity } from './identity.ts'
import type { Disk, Store } from './store.ts'

const PAGE_BYTES = 64 * 1024

/** Facts under it are of what upstreams have of this incarnation of the log: another incarnation starts without them. */
export const UPSTREAM_FACTS = 'sync/'

export const FACT_STORE_OPTIONS = { writeBufferBytes: 256 * 1024, createIfMissing: true }

const FACT = 1
const OWN = 2
const IDENTITY_KEY = Buffer.from([OWN, ...Buffer.from('identity')])
const CRC_BYTES = 4

export class FactStore {
  readonly #store: Store
  readonly #onDamaged: (name: string) => void

  private constructor(store: Store, onDamaged: (name: string) => void) {
    this.#store = store
    this.#onDamaged = onDamaged
  }

  /**
   * @param onDamaged told of each fact that is read and is not whole
   * @throws DataDirectoryLockedError where another process has the data directory.
   */
  static async open(
    disk: Disk,
    directory: string,
    onDamaged: (name: string) => void = () => {},
  ): Promise<FactStore> {
    const store = await disk.openStore(directory, FACT_STORE_OPTIONS)
    try {
      await sealAll(store)
    } catch (error) {
      await store.close()
      throw error
    }
    return new FactStore(store, onDamaged)
  }

  /** undefined where there is none, or where it is damaged. */
  async get(name: string): Promise<Buffer | undefined> {
    const key = factKey(name)
    const value = await this.#store.get(key)
    return value === undefined ? undefined : this.#payload(key, value)
  }

  put(name: string, payload: Uint8Array): Promise<void> {
    return this.putAll([[name, payload]])
  }

  /** All or nothing. */
  putAll(facts: readonly (readonly [name: string, payload: Uint8Array])[]): Promise<void> {
    return this.#write(facts.map(([name, payload]) => [factKey(name), payload]))
  }

  /** All facts that are whole, in the order of their names, a page at a time. */
  async *pages(): AsyncGenerator<[name: string, payload: Buffer][], void, void> {
    const to = Buffer.of(FACT + 1)
    for (let from: Buffer = Buffer.of(FACT); ; ) {
      const entries = await this.#store.range({ from, to, bytesMax: PAGE_BYTES })
      const last = entries.at(-1)
      if (last === undefined) return
      const page: [string, Buffer][] = []
      for (const { key, value } of entries) {
        const payload = this.#payload(key, value)
        if (payload !== undefined) page.push([nameOf(key), payload])
      }
      yield page
      from = Buffer.concat([last.key, Buffer.of(0)])
    }
  }

  /** The copy of headwater.json; null where there is none. */
  async identity(): Promise<StoredIdentity | null> {
    const value = await this.#store.get(IDENTITY_KEY)
    const payload = value === undefined ? undefined : this.#payload(IDENTITY_KEY, value)
    return payload === undefined ? null : decodeIdentity(payload)
  }

  putIdentity(identity: Identity): Promise<void> {
    return this.#write([[IDENTITY_KEY, encodeIdentity(identity)]])
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async #write(entries: readonly (readonly [key: Buffer, payload: Uint8Array])[]): Promise<void> {
    const batch = this.#store.batch()
    for (const [key, payload] of entries) batch.put(key, sealed(key, payload))
    await batch.write({ sync: true })
  }

  #payload(key: Buffer, value: Buffer): Buffer | undefined {
    if (isWholeFact(key, value)) return value.subarray(CRC_BYTES)
    this.#onDamaged(nameOf(key))
    return undefined
  }
}

/** True for what this file writes: a salvage takes it out of a damaged block. */
export function isWholeFact(key: Buffer, value: Buffer): boolean {
  if ((key[0] !== FACT && key[0] !== OWN) || value.length < CRC_BYTES) return false
  return crcOf(key, value.subarray(CRC_BYTES)) === value.readUInt32LE(0)
}

/** Gives facts of before they had a checksum one. What was written with one since is newer. */
async function sealAll(store: Store): Promise<void> {
  const range = { from: Buffer.of(OWN + 1), to: Buffer.of(0xff), bytesMax: PAGE_BYTES }
  for (;;) {
    const entries = await store.range(range)
    if (entries.length === 0) return
    const newer = await store.getMany(entries.map(({ key }) => bareFactKey(key)))
    const batch = store.batch()
    for (const [index, { key, value }] of entries.entries()) {
      if (newer[index] === undefined) batch.put(bareFactKey(key), sealed(bareFactKey(key), value))
      batch.delete(key)
    }
    await batch.write({ sync: true })
  }
}

function factKey(name: string): Buffer {
  return bareFactKey(Buffer.from(name))
}

function bareFactKey(name: Buffer): Buffer {
  return Buffer.concat([Buffer.of(FACT), name])
}

function nameOf(key: Buffer): string {
  return key.subarray(1).toString('utf8')
}

function sealed(key: Buffer, payload: Uint8Array): Buffer {
  const crc = Buffer.alloc(CRC_BYTES)
  crc.writeUInt32LE(crcOf(key, payload))
  return Buffer.concat([crc, payload])
}

function crcOf(key: Buffer, payload: Uint8Array): number {
  return crc32c(Buffer.concat([key, payload]))
}
